// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// The package triton_kernels has code for Hopper, datacenter Blackwell, gfx9 and the Radeon devices.
constexpr bool has_triton_kernels(const Target& target) {
  const bool cuda = cuda_at_least(target, 9, 0) && target.cuda_capability < ComputeCapability{11, 0};
  const bool rocm =
      target.is_gfx9() || (target.is_rocm() && (target.gfx.major_version() == 11 || target.gfx.major_version() == 12));
  return target.libraries.has(Library::triton_kernels) && (cuda || rocm);
}

/// gpt-oss' own kernels, ids and weights given.
struct OAITritonExperts {
  static constexpr ExpertsFacts facts{
      .name = "OAITritonExperts",
      .runs_on = has_triton_kernels,
      .activations = ActivationSet::of(Activation::swigluoai),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_mxfp4_wide(keys); },
      .takes_expert_map = true,
      .expects_unquantized_inputs = always};
};

/// The same, routing inside.
struct OAITritonMxfp4ExpertsMonolithic {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = OAITritonExperts::facts;
    facts.name = "OAITritonMxfp4ExpertsMonolithic";
    facts.is_monolithic = true;
    facts.takes_parallel = one_rank_of_tokens;
    facts.routes = [](const QuantKeys&) { return renormalizing; };
    return facts;
  }();
};

/// Activation and reduction as separate kernels, so that LoRA can come between.
struct UnfusedOAITritonExperts {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = OAITritonExperts::facts;
    facts.name = "UnfusedOAITritonExperts";
    facts.activations =
        ActivationSet::of(Activation::silu, Activation::gelu, Activation::swigluoai, Activation::swiglustep);
    facts.has_lora = true;
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
