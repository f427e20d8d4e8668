// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <string_view>

#include "polymoe/experts/grouped_declaration.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Experts on xsimd vectors: fp32 products, any input type.
template <class Arch, ExpertsForm form>
struct SimdExperts {
  using backend = polymoe::backend::Simd<Arch>;
  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = polymoe::experts::Grouped<form, config, Scheme, polymoe::microkernel::Simd<Arch>>;

  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format = activation_format_of(form);
  static constexpr std::string_view name() {
    constexpr std::string_view names[]{"SimdMonolithic", "SimdModular", "SimdBatched"};
    return names[static_cast<int>(form)];
  }

  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    return first_refusal(cpu_requirements(form, config, keys, target), requires_instructions(target));
  }

 private:
  static constexpr Support requires_instructions(const Target& target) {
    if constexpr (std::same_as<Arch, xsimd::sse4_2>) {
      return require(target.cpu.has(isa::sse42), "the CPU has no SSE4.2");
    } else if constexpr (std::same_as<Arch, xsimd::fma3<xsimd::avx2>>) {
      return require(target.cpu.has(isa::avx2), "the CPU has no AVX2 with FMA and F16C");
    } else if constexpr (std::same_as<Arch, xsimd::avx512bw>) {
      return require(target.cpu.has(isa::avx512), "the CPU has no AVX-512 (F, BW, DQ, VL, CD)");
    } else {
      return require(target.cpu.has(isa::neon64), "the CPU has no 64-bit NEON");
    }
  }
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
