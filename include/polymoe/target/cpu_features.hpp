// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

namespace polymoe {

/// Instruction sets that candidates ask for, one bit each.
namespace isa {

enum Feature : std::uint32_t {
  sse42,
  avx2,    ///< with FMA and F16C
  avx512,  ///< F, BW, DQ, VL, CD
  avx512_vbmi,
  avx512_vnni,
  avx512_bf16,
  avx512_fp16,
  amx_tile,  ///< the operating system grants the tile registers
  amx_bf16,
  amx_int8,
  neon64,
  neon_dotprod,
  neon_bf16,
  neon_i8mm,
};

}  // namespace isa

/// A set of instruction-set features. Structural.
struct CpuFeatures {
  std::uint32_t bits = 0;

  constexpr bool has(isa::Feature feature) const { return ((bits >> feature) & 1U) != 0; }
  constexpr bool has_all(CpuFeatures other) const { return (bits & other.bits) == other.bits; }

  template <class... Features>
  static constexpr CpuFeatures of(Features... features) {
    return CpuFeatures{((std::uint32_t{1} << features) | ... | std::uint32_t{0})};
  }

  constexpr CpuFeatures with(CpuFeatures more) const { return CpuFeatures{bits | more.bits}; }
  bool operator==(const CpuFeatures&) const = default;
};

/// The levels that the library builds kernels for; each is a translation unit's worth of compiler flags.
namespace isa_level {

inline constexpr CpuFeatures portable{};
inline constexpr CpuFeatures sse42 = CpuFeatures::of(isa::sse42);
inline constexpr CpuFeatures avx2 = sse42.with(CpuFeatures::of(isa::avx2));
inline constexpr CpuFeatures avx512 = avx2.with(CpuFeatures::of(isa::avx512));
inline constexpr CpuFeatures avx512_bf16 =
    avx512.with(CpuFeatures::of(isa::avx512_vbmi, isa::avx512_vnni, isa::avx512_bf16));
inline constexpr CpuFeatures amx = avx512_bf16.with(CpuFeatures::of(isa::amx_tile, isa::amx_bf16, isa::amx_int8));
inline constexpr CpuFeatures neon64 = CpuFeatures::of(isa::neon64);

}  // namespace isa_level

}  // namespace polymoe
