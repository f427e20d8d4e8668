// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstdint>

#include "polymoe/target/isa_namespace.hpp"

// Codes to fp32 without tables or branches, so that compilers vectorize the loops around them. Exact, also where
// subnormal numbers are flushed.

namespace polymoe::inline POLYMOE_ISA::layout {

/// e4m3 (numerics.md, section 4).
[[gnu::always_inline]] inline float e4m3_number(std::uint32_t code) noexcept {
  const std::uint32_t magnitude = code & 0x7FU;
  const std::uint32_t normal = (magnitude << 20) + (120U << 23);
  const auto subnormal =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-9F);
  std::uint32_t bits = magnitude < 8U ? subnormal : normal;
  bits = magnitude == 0x7FU ? 0x7FC00000U : bits;
  return std::bit_cast<float>(bits | ((code & 0x80U) << 24));
}

/// e2m1.
[[gnu::always_inline]] inline float e2m1_number(std::uint32_t code) noexcept {
  const std::uint32_t magnitude = code & 7U;
  const std::uint32_t normal = (magnitude << 22) + (126U << 23);
  const auto subnormal = std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0.5F);
  return std::bit_cast<float>((magnitude < 2U ? subnormal : normal) | ((code & 8U) << 28));
}

/// A byte of two's complement.
[[gnu::always_inline]] inline float int8_number(std::uint32_t code) noexcept {
  return static_cast<float>(static_cast<std::int32_t>(code ^ 0x80U) - 0x80);
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
