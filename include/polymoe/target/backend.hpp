// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <string_view>
#include <xsimd/types/xsimd_all_registers.hpp>

/// Backends are tags: they name a way of computing, and nothing else.
namespace polymoe::backend {

/// A backend has a name by which users ask for it.
template <class B>
concept Backend = requires {
  { B::name() } -> std::convertible_to<std::string_view>;
};

/// Plain scalar code straight from numerics.md, accumulating in double: the judge of all others.
struct Reference {
  static constexpr std::string_view name() { return "reference"; }
};

/// Portable vectors of one xsimd architecture, fp32 products.
template <class Arch>
struct Simd {
  static constexpr std::string_view name() {
    if constexpr (std::same_as<Arch, xsimd::sse4_2>) return "simd_sse42";
    if constexpr (std::same_as<Arch, xsimd::fma3<xsimd::avx2>>) return "simd_avx2";
    if constexpr (std::same_as<Arch, xsimd::avx512bw>) return "simd_avx512";
    if constexpr (std::same_as<Arch, xsimd::neon64>) return "simd_neon64";
    return "simd";
  }
};

using SimdSse42 = Simd<xsimd::sse4_2>;
using SimdAvx2 = Simd<xsimd::fma3<xsimd::avx2>>;
using SimdAvx512 = Simd<xsimd::avx512bw>;
using SimdNeon64 = Simd<xsimd::neon64>;

/// bf16 pairs with AVX512-BF16's dot product.
struct Avx512Bf16 {
  static constexpr std::string_view name() { return "avx512_bf16"; }
};

/// int8 quadruples with AVX512-VNNI's dot product.
struct Avx512Vnni {
  static constexpr std::string_view name() { return "avx512_vnni"; }
};

/// AMX tiles of bf16.
struct AmxBf16 {
  static constexpr std::string_view name() { return "amx_bf16"; }
};

/// AMX tiles of int8.
struct AmxInt8 {
  static constexpr std::string_view name() { return "amx_int8"; }
};

}  // namespace polymoe::backend
