// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Weights of 4 or 8 bits by 16-bit activations, so the activation key is not looked at.
struct MarlinExperts {
  static constexpr ExpertsFacts facts{.name = "MarlinExperts",
                                      .runs_on = [](const Target& target) { return cuda_at_least(target, 7, 5); },
                                      .takes_no_act_and_mul = true,
                                      .activations = every_activation,
                                      .takes_keys =
                                          [](const QuantKeys& keys, const Target&) {
                                            constexpr QuantKey weights[]{
                                                quant_key::fp8_static_block128, quant_key::fp8_static_channel,
                                                quant_key::fp8_static_tensor,   quant_key::int4_static_group,
                                                quant_key::int8_static_group,   quant_key::mxfp4_static,
                                                quant_key::mxfp8_static,        quant_key::nvfp4_static};
                                            for (const QuantKey& weight : weights) {
                                              if (keys.weight == weight) return true;
                                            }
                                            return false;
                                          },
                                      .takes_parallel = no_flashinfer_nvlink,
                                      .has_lora = true,
                                      .takes_expert_map = true};
};

/// Marlin on [E, max_tokens, H].
struct BatchedMarlinExperts {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = MarlinExperts::facts;
    facts.name = "BatchedMarlinExperts";
    facts.activation_format = ActivationFormat::batched;
    facts.has_lora = false;
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
