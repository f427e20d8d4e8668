// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::target::inline POLYMOE_ISA {

namespace detail {

constexpr CpuFeatures compiled_features() {
  CpuFeatures features{};
#if defined(__SSE4_2__)
  features = features.with(isa_level::sse42);
#endif
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
  features = features.with(isa_level::avx2);
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__) && \
    defined(__AVX512CD__)
  features = features.with(isa_level::avx512);
#endif
#if defined(__AVX512VBMI__)
  features = features.with(CpuFeatures::of(isa::avx512_vbmi));
#endif
#if defined(__AVX512VNNI__)
  features = features.with(CpuFeatures::of(isa::avx512_vnni));
#endif
#if defined(__AVX512BF16__)
  features = features.with(CpuFeatures::of(isa::avx512_bf16));
#endif
#if defined(__AVX512FP16__)
  features = features.with(CpuFeatures::of(isa::avx512_fp16));
#endif
#if defined(POLYMOE_HAS_AMX)
  features = features.with(CpuFeatures::of(isa::amx_tile, isa::amx_bf16, isa::amx_int8));
#endif
#if defined(__aarch64__)
  features = features.with(isa_level::neon64);
#endif
#if defined(__ARM_FEATURE_DOTPROD)
  features = features.with(CpuFeatures::of(isa::neon_dotprod));
#endif
#if defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
  features = features.with(CpuFeatures::of(isa::neon_bf16));
#endif
#if defined(__ARM_FEATURE_MATMUL_INT8)
  features = features.with(CpuFeatures::of(isa::neon_i8mm));
#endif
  return features;
}

constexpr CpuArch compiled_arch() {
#if defined(__x86_64__)
  return CpuArch::x86_64;
#elif defined(__aarch64__)
  return CpuArch::aarch64;
#else
  return CpuArch::other;
#endif
}

}  // namespace detail

/// What this translation unit is compiled for.
inline constexpr Target native{.cpu_arch = detail::compiled_arch(), .cpu = detail::compiled_features()};

}  // namespace polymoe::target::inline POLYMOE_ISA
