// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

#include "polymoe/numeric/exponent.hpp"

namespace polymoe {

/// The code of a scale that is not a number.
inline constexpr std::uint8_t e8m0_nan = 255;

/// 2^(code - 127), exact (code 0 is the subnormal 2^-127); 255 is NaN.
[[gnu::always_inline]] constexpr float e8m0_decode(std::uint8_t code) {
  const std::uint32_t bits = static_cast<std::uint32_t>(code) << 23;
  return std::bit_cast<float>(code == 0 ? 0x400000U : (code == e8m0_nan ? 0x7FC00000U : bits));
}

/// The code of 2^exponent, exponent in [-127, 127].
[[gnu::always_inline]] constexpr std::uint8_t e8m0_from_exponent(int exponent) {
  return static_cast<std::uint8_t>(exponent + 127);
}

}  // namespace polymoe
