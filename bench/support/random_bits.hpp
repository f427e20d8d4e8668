// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/execution/executor.hpp"

namespace polymoe::bench {

/// Eight xorshift generators side by side: several GB/s, because a layer of weights has several GB.
class RandomBits {
 public:
  explicit RandomBits(std::uint64_t seed) {
    for (std::uint64_t& lane : lanes_) {
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t mixed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
      lane = (mixed ^ (mixed >> 31)) | 1;
    }
  }

  using Block = std::array<std::uint64_t, 8>;

  const Block& next() {
    for (std::uint64_t& lane : lanes_) {
      lane ^= lane << 13;
      lane ^= lane >> 7;
      lane ^= lane << 17;
    }
    return lanes_;
  }

 private:
  Block lanes_;
};

/// Fills `count` elements of T with element(random bits of a T's size).
template <class T, class Element>
void fill_random(T* data, std::size_t count, std::uint64_t seed, Element element) {
  constexpr std::size_t block = sizeof(RandomBits::Block) / sizeof(T);
  RandomBits random(seed);
  for (std::size_t i = 0; i < count; i += block) {
    std::array<T, block> bits;
    std::memcpy(bits.data(), random.next().data(), sizeof bits);
    for (T& each : bits) each = element(each);
    std::memcpy(data + i, bits.data(), std::min(block, count - i) * sizeof(T));
  }
}

/// The same on all workers.
template <Executor E, class T, class Element>
void fill_random(const E& executor, T* data, std::size_t count, std::uint64_t seed, Element element) {
  constexpr std::size_t piece = std::size_t{1} << 18;
  executor.parallel_for(static_cast<std::int64_t>((count + piece - 1) / piece), [&](std::int64_t index, int) {
    const std::size_t first = static_cast<std::size_t>(index) * piece;
    fill_random(data + first, std::min(piece, count - first), seed + static_cast<std::uint64_t>(index) * 0x10001,
                element);
  });
}

/// bf16 from 2^-7 to 2^-5, of either sign: weights that keep sums of thousands of products near 1.
constexpr std::uint16_t small_bf16(std::uint16_t bits) {
  return static_cast<std::uint16_t>((bits & 0x80FF) | 0x3C00);
}

/// bf16 from 1/2 to 2, of either sign: activations.
constexpr std::uint16_t medium_bf16(std::uint16_t bits) {
  return static_cast<std::uint16_t>((bits & 0x80FF) | 0x3F00);
}

}  // namespace polymoe::bench
