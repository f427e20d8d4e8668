// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

namespace polymoe {

/// IEEE binary16 (numerics.md, section 4).
struct fp16 {
  std::uint16_t bits;

  fp16() = default;

  /// Rounds to nearest even; overflow gives an infinity; a NaN stays a quiet NaN of the same sign.
  [[gnu::always_inline]] constexpr explicit fp16(float value) : bits(encode(value)) {}

  [[gnu::always_inline]] static constexpr fp16 from_bits(std::uint16_t code) {
    fp16 result{};
    result.bits = code;
    return result;
  }

  /// Exact; a signalling NaN becomes quiet.
  [[gnu::always_inline]] constexpr explicit operator float() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16;
    const std::uint32_t magnitude = bits & 0x7FFFU;
    const std::uint32_t fraction = magnitude << 13;
    // The product moves the exponent's bias from 15 to 127, and normalizes what is subnormal, in one exact operation.
    const auto finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(fraction) * 0x1p112F);
    const std::uint32_t quiet = magnitude > 0x7C00U ? 0x400000U : 0U;
    return std::bit_cast<float>(sign | (magnitude >= 0x7C00U ? 0x7F800000U | fraction | quiet : finite));
  }

  /// Compares codes: a NaN equals itself, and the zeros differ.
  bool operator==(const fp16&) const = default;

 private:
  [[gnu::always_inline]] static constexpr std::uint16_t encode(float value) {
    const auto u = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (u >> 16) & 0x8000U;
    const std::uint32_t magnitude = u & 0x7FFFFFFFU;
    std::uint32_t code;
    if (magnitude >= 0x47800000U) {  // 2^16 and above, infinity, NaN
      code = magnitude > 0x7F800000U ? 0x7E00U | ((magnitude >> 13) & 0x3FFU) : 0x7C00U;
    } else if (magnitude < 0x38800000U) {  // below 2^-14: the sum has its last place at 2^-24
      code = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - 0x3F000000U;
    } else {
      code = (magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13) & 1U)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | code);
  }
};

}  // namespace polymoe
