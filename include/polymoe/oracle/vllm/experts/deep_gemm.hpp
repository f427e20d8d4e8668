// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

inline constexpr ActivationSet deep_gemm_activations = ActivationSet::of(Activation::silu, Activation::swiglustep);

/// DeepGEMM's contiguous grouped GEMM of block-scaled fp8.
struct DeepGemmExperts {
  static constexpr ExpertsFacts facts{
      .name = "DeepGemmExperts",
      .runs_on = has_deep_gemm,
      .activations = deep_gemm_activations,
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_block(keys); },
      .takes_parallel = no_flashinfer_nvlink,
      .takes_expert_map = true};
};

/// DeepGEMM's masked grouped GEMM on [E, max_tokens, H].
struct BatchedDeepGemmExperts {
  static constexpr ExpertsFacts facts{
      .name = "BatchedDeepGemmExperts",
      .activation_format = ActivationFormat::batched,
      .runs_on = has_deep_gemm,
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_block(keys); }};
};

/// fp4 weights by fp8 activations: Blackwell has the instruction.
struct DeepGemmFP4Experts {
  static constexpr ExpertsFacts facts{
      .name = "DeepGemmFP4Experts",
      .runs_on = [](const Target& target) { return has_deep_gemm(target) && cuda_family(target, 10); },
      .activations = deep_gemm_activations,
      .takes_keys =
          [](const QuantKeys& keys, const Target&) {
            return is_pair(keys, quant_key::mxfp4_static, quant_key::fp8_dynamic_group128);
          },
      .takes_parallel = no_flashinfer_nvlink,
      .takes_expert_map = true};
};

}  // namespace polymoe::oracle::vllm
