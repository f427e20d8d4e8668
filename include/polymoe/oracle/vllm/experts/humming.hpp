// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Humming asks nothing of device, activation or keys: only whether activations come in its format and whether its GEMM
/// is the preferred one. Without the package the classes cannot even be named.
constexpr Support humming_supports(ActivationFormat format, HummingGemm gemm, const FusedMoEConfig& config,
                                   const Target& target) {
  if (!target.is_cuda() || !target.libraries.has(Library::humming)) {
    return {"the package humming is not installed", FailureKind::module_not_found};
  }
  const HummingGemm preferred =
      target.environment.humming_moe_gemm_type == HummingGemm::grouped ? HummingGemm::grouped : HummingGemm::indexed;
  return first_refusal(
      require(format == config.activation_format(), "activation_format mismatched"),
      require(format == ActivationFormat::batched || gemm == preferred, "preferred gemm type mismatched"));
}

/// What the three share.
constexpr ExpertsFacts humming_facts(std::string_view name, ActivationFormat format) {
  return {.name = name,
          .activation_format = format,
          .runs_on = [](const Target& target) { return cuda_at_least(target, 7, 5); },
          .takes_no_act_and_mul = true,
          .activations = every_activation,
          .takes_keys = [](const QuantKeys&, const Target&) { return true; },
          .takes_parallel = no_flashinfer_nvlink,
          .takes_expert_map = true};
}

/// Rows are found through an index.
struct HummingIndexedExperts {
  static constexpr ExpertsFacts facts = humming_facts("HummingIndexedExperts", ActivationFormat::standard);
  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    return humming_supports(facts.activation_format, HummingGemm::indexed, config, target);
  }
};

/// Rows are sorted by expert first.
struct HummingGroupedExperts {
  static constexpr ExpertsFacts facts = humming_facts("HummingGroupedExperts", ActivationFormat::standard);
  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    return humming_supports(facts.activation_format, HummingGemm::grouped, config, target);
  }
};

/// On [E, max_tokens, H].
struct BatchedHummingGroupedExperts {
  static constexpr ExpertsFacts facts = humming_facts("BatchedHummingGroupedExperts", ActivationFormat::batched);
  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    return humming_supports(facts.activation_format, HummingGemm::grouped, config, target);
  }
};

}  // namespace polymoe::oracle::vllm
