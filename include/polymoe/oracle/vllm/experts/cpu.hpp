// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's own CPU kernels. AMX, sizes and the architecture are not asked here: the kernel decides by them later.
struct CPUExpertsFp8 {
  static constexpr ExpertsFacts facts{
      .name = "CPUExpertsFp8",
      .is_monolithic = true,
      .runs_on = [](const Target& target) { return target.platform == Platform::cpu; },
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_block(keys); },
      .routes =
          [](const QuantKeys&) {
            return RoutingSet::of(RoutingMethod::softmax, RoutingMethod::renormalize, RoutingMethod::renormalize_naive);
          },
      .expects_unquantized_inputs = always};
};

struct CPUExpertsMxfp4 {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = CPUExpertsFp8::facts;
    facts.name = "CPUExpertsMxfp4";
    facts.activations = ActivationSet::of(Activation::silu, Activation::swigluoai);
    facts.takes_keys = [](const QuantKeys& keys, const Target&) { return is_mxfp4_wide(keys); };
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
