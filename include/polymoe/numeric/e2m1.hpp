// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

namespace polymoe {

/// The largest number of fp4 e2m1.
inline constexpr float e2m1_max = 6.0F;

/// The code 0..15 of e2m1 nearest to `value`, ties to the even code, saturating to +-6. There is no code for a NaN: it
/// becomes a zero, and who calls keeps it elsewhere (in the scale of its block).
[[gnu::always_inline]] constexpr std::uint8_t e2m1_encode(float value) {
  const auto u = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (u >> 28) & 8U;
  const std::uint32_t magnitude = u & 0x7FFFFFFFU;
  constexpr auto largest = std::bit_cast<std::uint32_t>(e2m1_max);
  constexpr auto smallest_normal = std::bit_cast<std::uint32_t>(1.0F);
  const std::uint32_t a = magnitude < largest ? magnitude : largest;
  const std::uint32_t normal = ((a + 0x1FFFFFU + ((a >> 22) & 1U)) >> 22) - (126U << 1);
  // The last place of 2^22 is 0.5, the step of e2m1's subnormal numbers.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(a) + 0x1p22F) - std::bit_cast<std::uint32_t>(0x1p22F);
  const std::uint32_t code = a < smallest_normal ? subnormal : normal;
  return static_cast<std::uint8_t>(sign | (magnitude > 0x7F800000U ? 0U : code));
}

/// Exact; only the lower four bits of `code` are read.
[[gnu::always_inline]] constexpr float e2m1_decode(std::uint8_t code) {
  const float magnitude = std::bit_cast<float>(static_cast<std::uint32_t>(code & 7U) << 22) * 0x1p126F;
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 8U) << 28;
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

}  // namespace polymoe
