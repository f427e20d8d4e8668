// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/experts/grouped_declaration.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Experts on AMX tiles for bf16 products. Weights of fewer bits are unpacked to bf16 once per panel.
template <ExpertsForm form>
struct AmxBf16Experts {
  using backend = polymoe::backend::AmxBf16;
  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = polymoe::experts::Grouped<form, config, Scheme, polymoe::microkernel::AmxBf16>;

  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format = activation_format_of(form);
  static constexpr std::string_view name() {
    constexpr std::string_view names[]{"AmxBf16Monolithic", "AmxBf16Modular", "AmxBf16Batched"};
    return names[static_cast<int>(form)];
  }

  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    return first_refusal(
        cpu_requirements(form, config, keys, target),
        require(target.cpu.has_all(isa_level::amx), "the CPU or the operating system has no AMX-BF16"),
        require(config.in_dtype == DType::bf16 || config.in_dtype == DType::runtime,
                "activations are not bf16, and AMX would round them"),
        require(keys.computes_in_16_bits(), "the activation key asks for integer products"),
        require(keys.activations_are_bf16(),
                "activations quantized faithfully by this key are not bf16 numbers, and would be rounded again"));
  }
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
