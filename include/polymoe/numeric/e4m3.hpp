// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

namespace polymoe {

/// The largest number of fp8 e4m3fn.
inline constexpr float e4m3_max = 448.0F;

/// The code of e4m3fn nearest to `value`, ties to even, saturating to +-448; a NaN becomes 0x7F or 0xFF.
[[gnu::always_inline]] constexpr std::uint8_t e4m3_encode(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (u >> 24) & 0x80U;
  const std::uint32_t magnitude = u & 0x7FFFFFFFU;
  constexpr auto largest = std::bit_cast<std::uint32_t>(e4m3_max);
  constexpr auto smallest_normal = std::bit_cast<std::uint32_t>(0x1p-6F);
  const std::uint32_t a = magnitude < largest ? magnitude : largest;
  const std::uint32_t normal = ((a + 0x7FFFFU + ((a >> 20) & 1U)) >> 20) - (120U << 3);
  // The last place of 2^14 is 2^-9, the step of e4m3's subnormal numbers.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(a) + 0x1p14F) - std::bit_cast<std::uint32_t>(0x1p14F);
  const std::uint32_t code = a < smallest_normal ? subnormal : normal;
  return static_cast<std::uint8_t>(sign | (magnitude > 0x7F800000U ? 0x7FU : code));
}

/// Exact; 0x7F and 0xFF are NaN.
[[gnu::always_inline]] constexpr float e4m3_decode(std::uint8_t code) {
  const std::uint32_t magnitude = code & 0x7FU;
  const auto finite = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude << 20) * 0x1p120F);
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80U) << 24;
  return std::bit_cast<float>(sign | (magnitude == 0x7FU ? 0x7FC00000U : finite));
}

}  // namespace polymoe
