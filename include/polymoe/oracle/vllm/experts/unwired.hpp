// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Classes that vLLM has and no oracle offers: layers build them by hand, and to ask them is an error.
struct Unwired {
  static constexpr Support supports(const FusedMoEConfig&, const QuantKeys&, const Target&) {
    return {"no oracle offers this class", FailureKind::not_implemented};
  }
};

/// fp8 activations by int4 weights.
struct CutlassExpertsW4A8Fp8 : Unwired {
  static constexpr ExpertsFacts facts{.name = "CutlassExpertsW4A8Fp8", .takes_expert_map = true};
};

/// A loop over experts: a reference for tests.
struct NaiveBatchedExperts : Unwired {
  static constexpr ExpertsFacts facts{.name = "NaiveBatchedExperts", .activation_format = ActivationFormat::batched};
};

/// Triton on int4 and int8 weights.
struct TritonWNA16Experts : Unwired {
  static constexpr ExpertsFacts facts{
      .name = "TritonWNA16Experts", .is_batch_invariant = true, .has_lora = true, .takes_expert_map = true};
};

}  // namespace polymoe::oracle::vllm
