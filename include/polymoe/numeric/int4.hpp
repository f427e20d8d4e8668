// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polymoe {

/// Nibble i (0..7) of a word of eight packed int4 codes: bits 4i to 4i + 3.
[[gnu::always_inline]] constexpr std::uint8_t nibble(std::uint32_t word, unsigned i) {
  return static_cast<std::uint8_t>((word >> (4U * i)) & 15U);
}

/// Code i of a row of nibbles, two a byte, the lower nibble first. A little-endian row of int32 words with eight codes
/// each reads the same.
[[gnu::always_inline]] constexpr std::uint8_t nibble(const std::uint8_t* row, std::size_t i) {
  return static_cast<std::uint8_t>((row[i / 2] >> (4U * (i & 1U))) & 15U);
}

/// Writes code i of such a row.
[[gnu::always_inline]] constexpr void set_nibble(std::uint8_t* row, std::size_t i, std::uint8_t code) {
  const unsigned shift = 4U * static_cast<unsigned>(i & 1U);
  const unsigned kept = row[i / 2] & ~(15U << shift);
  row[i / 2] = static_cast<std::uint8_t>(kept | (static_cast<unsigned>(code & 15U) << shift));
}

/// uint4b8: code c stands for c - 8.
[[gnu::always_inline]] constexpr int uint4b8_decode(std::uint8_t code) {
  return static_cast<int>(code) - 8;
}

/// uint8b128: code c stands for c - 128.
[[gnu::always_inline]] constexpr int uint8b128_decode(std::uint8_t code) {
  return static_cast<int>(code) - 128;
}

}  // namespace polymoe
