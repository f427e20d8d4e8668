// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "polymoe/target/isa_namespace.hpp"

// Every order in which codes or elements are packed permutes the bits of an index: the transposition of a matrix of
// powers of two takes the bits of the row and of the column in the other order. Interleaving the bytes of two vectors
// moves one bit of the index into the index within a vector and another one out of it, so that a few interleavings give
// any order. Vectors are of 16 bytes: there, interleaving is one instruction of every instruction set, and packing is
// bound by memory from then on.

namespace polymoe::inline POLYMOE_ISA::layout {

/// Bit j of the index of what is written is bit order[j] of the index of what is read.
template <std::size_t bits>
using BitOrder = std::array<std::uint8_t, bits>;

namespace detail {

using Bytes16 [[gnu::vector_size(16)]] = std::uint8_t;

inline constexpr std::size_t lane_bits = 4;  ///< of the index within a vector

/// From where byte `to` of two interleaved vectors comes, in units of `unit` bytes; `last`: the second vector of the two.
constexpr int interleaved_byte(std::size_t to, std::size_t unit, bool last) {
  const std::size_t index = to / unit;
  return static_cast<int>(index % 2 * 16 + index / 2 * unit + to % unit + (last ? 8 : 0));
}

template <std::size_t unit, bool last, std::size_t... i>
[[gnu::always_inline]] inline Bytes16 interleave(Bytes16 a, Bytes16 b, std::index_sequence<i...>) noexcept {
  return __builtin_shufflevector(a, b, interleaved_byte(i, unit, last)...);
}

/// Vectors whose indices differ in bit `partner` are interleaved by units of 2^lane bytes.
struct Interleaving {
  std::size_t lane = 0;
  std::size_t partner = 0;
};

/// How vectors become an order.
template <std::size_t bits>
struct Interleavings {
  std::array<Interleaving, 2 * lane_bits> steps{};
  std::size_t count = 0;
  BitOrder<bits> held{};  ///< afterwards: the bit of the index read that each bit of a vector's place stands for
};

/// Interleavings that bring bits order[first], order[first + 1], ... of the index read into the index within a vector.
/// Each step moves one of them in and the uppermost one out, so those that have to be moved out first are last.
template <std::size_t bits>
constexpr Interleavings<bits> interleavings(const BitOrder<bits>& order, std::size_t first) {
  Interleavings<bits> made;
  for (std::size_t i = 0; i < bits; ++i) made.held[i] = static_cast<std::uint8_t>(i);
  std::array<bool, lane_bits> is_there{};
  std::size_t stay = 0;  // the lowest bits that are there already, in order
  for (std::size_t lane = 0; lane < lane_bits; ++lane) {
    is_there[lane] = order[first + lane] == stay;
    if (is_there[lane]) ++stay;
  }
  for (const bool moves_out_first : {false, true}) {
    for (std::size_t lane = 0; lane < lane_bits; ++lane) {
      const std::uint8_t bit = order[first + lane];
      if (is_there[lane] || (bit < lane_bits) != moves_out_first) continue;
      std::size_t to = 0;
      for (std::size_t below = 0; below < lane; ++below) to += is_there[below] ? 1 : 0;
      std::size_t from = lane_bits;
      while (made.held[from] != bit) ++from;
      made.steps[made.count++] = {to, from - lane_bits};
      made.held[from] = made.held[lane_bits - 1];
      for (std::size_t l = lane_bits - 1; l > to; --l) made.held[l] = made.held[l - 1];
      made.held[to] = bit;
      is_there[lane] = true;
    }
  }
  return made;
}

/// Vectors that are interleaved among each other and kept in registers: `places` has the bits of their indices that
/// differ.
template <std::size_t bits, const BitOrder<bits>& order, bool nibbles>
struct Rearrangement {
  static constexpr std::size_t first = nibbles ? 1 : 0;
  static constexpr Interleavings<bits> plan = interleavings<bits>(order, first);
  static constexpr std::size_t vectors = std::size_t{1} << (bits - lane_bits);

  static constexpr std::size_t nibble_partner = [] {
    std::size_t at = lane_bits;
    while (nibbles && plan.held[at] != order[0]) ++at;
    return at - lane_bits;
  }();

  static constexpr std::size_t places = [] {
    std::size_t mask = nibbles ? std::size_t{1} << nibble_partner : 0;
    for (std::size_t step = 0; step < plan.count; ++step) mask |= std::size_t{1} << plan.steps[step].partner;
    return mask;
  }();

  /// Indices of vectors whose bits are among `mask`, in order.
  template <std::size_t mask>
  static constexpr auto indices = [] {
    constexpr std::size_t count = std::size_t{1} << static_cast<std::size_t>(__builtin_popcountll(mask));
    std::array<std::uint16_t, count> all{};
    std::size_t index = 0;
    for (std::size_t i = 0; i < count; ++i, index = (index - mask) & mask) all[i] = static_cast<std::uint16_t>(index);
    return all;
  }();
  static constexpr auto& in_registers = indices<places>;
  static constexpr auto& groups = indices<(vectors - 1) & ~places>;

  /// Where a vector is written, in bytes.
  static constexpr auto written = [] {
    std::array<std::uint16_t, vectors> all{};
    for (std::size_t index = 0; index < vectors; ++index) {
      for (std::size_t j = first; j < bits; ++j) {
        for (std::size_t at = lane_bits; at < bits; ++at) {
          const bool is_set = plan.held[at] == order[j] && (index >> (at - lane_bits) & 1U) != 0;
          if (is_set) all[index] = static_cast<std::uint16_t>(all[index] + (1U << (j - first)));
        }
      }
    }
    return all;
  }();

  /// Of `partner`, in the index of a register.
  static constexpr std::size_t register_bit(std::size_t partner) {
    return std::size_t{1} << static_cast<std::size_t>(__builtin_popcountll(places & ((std::size_t{1} << partner) - 1)));
  }

  using Registers = Bytes16[in_registers.size()];

  template <std::size_t step>
  [[gnu::always_inline]] static void interleave_all(Registers& v) noexcept {
    constexpr std::size_t unit = std::size_t{1} << plan.steps[step].lane;
    constexpr std::size_t other = register_bit(plan.steps[step].partner);
    constexpr auto bytes = std::make_index_sequence<16>();
#pragma GCC unroll 16
    for (std::size_t i = 0; i < in_registers.size(); ++i) {
      if ((i & other) != 0) continue;
      const Bytes16 a = v[i];
      const Bytes16 b = v[i + other];
      v[i] = interleave<unit, false>(a, b, bytes);
      v[i + other] = interleave<unit, true>(a, b, bytes);
    }
  }

  template <std::size_t... step>
  [[gnu::always_inline]] static void interleave_steps(Registers& v, std::index_sequence<step...>) noexcept {
    (interleave_all<step>(v), ...);
  }

  [[gnu::always_inline]] static void run(std::byte* to, const std::byte* from) noexcept {
    for (const std::uint16_t group : groups) {
      Registers v;
#pragma GCC unroll 16
      for (std::size_t i = 0; i < in_registers.size(); ++i) {
        std::memcpy(&v[i], from + std::size_t{16} * (group + in_registers[i]), 16);
      }
      interleave_steps(v, std::make_index_sequence<plan.count>());
      constexpr std::size_t high = nibbles ? register_bit(nibble_partner) : 0;
#pragma GCC unroll 16
      for (std::size_t i = 0; i < in_registers.size(); ++i) {
        if ((i & high) != 0) continue;
        if constexpr (nibbles) v[i] |= v[i + high] << 4;
        std::memcpy(to + written[group] + written[in_registers[i]], &v[i], 16);
      }
    }
  }
};

}  // namespace detail

/// Writes 2^bits bytes in another order.
template <std::size_t bits, const BitOrder<bits>& order>
[[gnu::always_inline]] inline void rearrange_bytes(std::byte* to, const std::byte* from) noexcept {
  detail::Rearrangement<bits, order, false>::run(to, from);
}

/// Writes 2^bits bytes that are less than 16 in another order, two a byte, the lower nibble first.
template <std::size_t bits, const BitOrder<bits>& order>
[[gnu::always_inline]] inline void rearrange_to_nibbles(std::byte* to, const std::byte* from) noexcept {
  detail::Rearrangement<bits, order, true>::run(to, from);
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
