// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

namespace polymoe {

// Everything in this folder is always inlined: a copy that was compiled for one instruction set must not be linked into
// the code for another.

/// bfloat16: the upper half of an fp32 number (numerics.md, section 4).
struct bf16 {
  std::uint16_t bits;

  bf16() = default;

  /// Rounds to nearest even; overflow gives an infinity; a NaN stays a quiet NaN of the same sign.
  [[gnu::always_inline]] constexpr explicit bf16(float value) : bits(encode(value)) {}

  [[gnu::always_inline]] static constexpr bf16 from_bits(std::uint16_t code) {
    bf16 result{};
    result.bits = code;
    return result;
  }

  /// Exact.
  [[gnu::always_inline]] constexpr explicit operator float() const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
  }

  /// Compares codes: a NaN equals itself, and the zeros differ.
  bool operator==(const bf16&) const = default;

 private:
  [[gnu::always_inline]] static constexpr std::uint16_t encode(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (u & 0x7FFFFFFFU) > 0x7F800000U;
    const std::uint32_t rounded = (u + 0x7FFFU + ((u >> 16) & 1U)) >> 16;
    return static_cast<std::uint16_t>(is_nan ? (u >> 16) | 0x40U : rounded);
  }
};

}  // namespace polymoe
