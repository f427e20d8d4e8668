// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// FlashInfer's CUTLASS kernels. What Hopper and Blackwell can do differs: block fp8 and wide mxfp4 only on Hopper,
/// nvfp4 and mxfp4 by mxfp8 from Blackwell on.
struct FlashInferExperts {
  static constexpr ExpertsFacts facts{
      .name = "FlashInferExperts",
      .runs_on =
          [](const Target& target) {
            return has_flashinfer(target) &&
                   (cuda_is(target, 9, 0) || cuda_family(target, 10) || cuda_family(target, 12));
          },
      .takes_no_act_and_mul = true,
      .activations = ActivationSet::of(Activation::silu, Activation::swigluoai, Activation::relu2_no_mul),
      .takes_keys =
          [](const QuantKeys& keys, const Target& target) {
            const ComputeCapability capability = target.device_capability();
            const bool hopper = capability == ComputeCapability{9, 0};
            const bool blackwell = capability >= ComputeCapability{10, 0};
            const bool mxfp4_mxfp8 = is_pair(keys, quant_key::mxfp4_static, quant_key::mxfp8_dynamic);
            return (capability >= ComputeCapability{9, 0} && (is_unquantized(keys) || is_fp8_static_tensor(keys))) ||
                   (hopper && (is_fp8_block(keys) || is_mxfp4_wide(keys))) ||
                   (blackwell && (mxfp4_mxfp8 || is_nvfp4(keys)));
          },
      .expects_unquantized_inputs = [](const FusedMoEConfig&, const QuantKeys& keys) { return is_fp8_block(keys); }};
};

/// nvfp4 on consumer Blackwell.
struct FlashInferB12xExperts {
  static constexpr ExpertsFacts facts{
      .name = "FlashInferB12xExperts",
      .runs_on = [](const Target& target) { return cuda_family(target, 12) && has_flashinfer(target); },
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_nvfp4(keys); },
      .expects_unquantized_inputs = always};
};

/// nvfp4 in CuTe DSL.
struct FlashInferCuteDSLExperts {
  static constexpr ExpertsFacts facts{
      .name = "FlashInferCuteDSLExperts",
      .runs_on = has_flashinfer_trtllm,
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_nvfp4(keys); }};
};

/// The same on [E, max_tokens, H].
struct FlashInferCuteDSLBatchedExperts {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = FlashInferCuteDSLExperts::facts;
    facts.name = "FlashInferCuteDSLBatchedExperts";
    facts.activation_format = ActivationFormat::batched;
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
