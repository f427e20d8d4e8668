// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace polymoe {

/// floor(log2(a)) of a positive finite number, exact, also where it is subnormal.
[[gnu::always_inline]] constexpr int floor_log2(float a) {
  const auto u = std::bit_cast<std::uint32_t>(a);
  return u >= 0x800000U ? static_cast<int>(u >> 23) - 127 : static_cast<int>(std::bit_width(u)) - 150;
}

/// 2^exponent, exact, for exponents in [-149, 127].
[[gnu::always_inline]] constexpr float power_of_two(int exponent) {
  return std::bit_cast<float>(exponent >= -126 ? static_cast<std::uint32_t>(exponent + 127) << 23
                                               : 1U << static_cast<unsigned>(exponent + 149));
}

/// value * 2^exponent for exponents in [-149, 127]: exact unless the result leaves the range of fp32, then rounded
/// once.
[[gnu::always_inline]] constexpr float multiply_by_power_of_two(float value, int exponent) {
  return value * power_of_two(exponent);
}

/// The shared exponent of a block with the greatest magnitude `amax` (numerics.md, section 4, mxfp8_dynamic and
/// mxfp4_dynamic): floor(log2(amax)) - element_emax in [-127, 127]. A block of zeros takes the smallest.
/// `amax` is finite; `element_emax` is the exponent of the element type's largest number.
[[gnu::always_inline]] constexpr int mx_shared_exponent(float amax, int element_emax) {
  if (!(amax > 0.0F)) return -127;
  return std::clamp(floor_log2(amax) - element_emax, -127, 127);
}

inline constexpr int e4m3_emax = 8;
inline constexpr int e2m1_emax = 2;

}  // namespace polymoe
