// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts/cutlass.hpp"
#include "polymoe/oracle/vllm/experts/deep_gemm.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Chooses between two classes from call to call, so a layer must suit both. What only one call can tell (routing,
/// shapes), LoRA and batch invariance are not asked of the two.
template <class First, class Second>
constexpr ExpertsFacts either_of(std::string_view name) {
  return {.name = name,
          .runs_on = [](const Target& target) { return First::facts.runs_on(target) && Second::facts.runs_on(target); },
          .takes_no_act_and_mul = First::facts.takes_no_act_and_mul && Second::facts.takes_no_act_and_mul,
          .activations = First::facts.activations.both(Second::facts.activations),
          .takes_keys =
              [](const QuantKeys& keys, const Target& target) {
                return First::facts.takes_keys(keys, target) && Second::facts.takes_keys(keys, target);
              },
          .takes_parallel =
              [](const ParallelConfig& parallel) {
                return First::facts.takes_parallel(parallel) && Second::facts.takes_parallel(parallel);
              },
          .takes_expert_map = First::facts.takes_expert_map && Second::facts.takes_expert_map};
}

/// Triton for few tokens on Blackwell, CUTLASS otherwise.
struct TritonOrCutlassExperts {
  static constexpr ExpertsFacts facts = either_of<CutlassExpertsFp8, TritonExperts>("TritonOrCutlassExperts");
};

/// DeepGEMM where shapes are aligned and rows are many, Triton otherwise.
struct TritonOrDeepGemmExperts {
  static constexpr ExpertsFacts facts = either_of<DeepGemmExperts, TritonExperts>("TritonOrDeepGemmExperts");
};

}  // namespace polymoe::oracle::vllm
