// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Triton's grouped GEMM: the fallback of every oracle that has no better.
struct TritonExperts {
  static constexpr ExpertsFacts facts{
      .name = "TritonExperts",
      .runs_on =
          [](const Target& target) { return target.is_cuda() || target.is_rocm() || target.platform == Platform::xpu; },
      .takes_no_act_and_mul = true,
      .activations = every_activation,
      .takes_keys =
          [](const QuantKeys& keys, const Target& target) {
            const bool int8 = is_pair(keys, quant_key::int8_static_channel, quant_key::int8_dynamic_token);
            return is_unquantized(keys) || (target.supports_fp8() && is_triton_fp8(keys)) ||
                   (cuda_at_least(target, 7, 5) && int8);
          },
      .takes_parallel = no_flashinfer_nvlink,
      .is_batch_invariant = true,
      .has_lora = true,
      .takes_expert_map = true};
};

/// Triton on [E, max_tokens, H]. On AMD it knows fp8 for gfx9 alone.
struct BatchedTritonExperts {
  static constexpr ExpertsFacts facts{
      .name = "BatchedTritonExperts",
      .activation_format = ActivationFormat::batched,
      .runs_on = [](const Target& target) { return target.is_cuda() || target.is_rocm(); },
      .takes_no_act_and_mul = true,
      .activations = every_activation.without(Activation::swiglustep),
      .takes_keys =
          [](const QuantKeys& keys, const Target& target) {
            return is_unquantized(keys) || ((cuda_at_least(target, 8, 9) || target.is_gfx9()) && is_triton_fp8(keys));
          }};
};

}  // namespace polymoe::oracle::vllm
