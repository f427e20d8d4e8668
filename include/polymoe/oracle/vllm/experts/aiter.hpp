// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// AMD's kernels. They quantize by themselves, except behind MoRI, which sends quantized rows.
struct AiterExperts {
  static constexpr ExpertsFacts facts{
      .name = "AiterExperts",
      .runs_on =
          [](const Target& target) {
            return has_aiter(target) && value_or(target.environment.rocm_use_aiter_moe, true);
          },
      .activations = ActivationSet::of(Activation::silu, Activation::gelu, Activation::swigluoai),
      .takes_keys =
          [](const QuantKeys& keys, const Target& target) {
            const bool mxfp4 = is_mxfp4_wide(keys) || is_pair(keys, quant_key::mxfp4_static, quant_key::mxfp4_dynamic);
            return is_unquantized(keys) || is_fp8_block(keys) || is_fp8_tensor_or_channel(keys) ||
                   (target.gfx == gfx::gfx950 && mxfp4);
          },
      .takes_parallel = no_flashinfer_nvlink,
      .takes_expert_map = true,
      .expects_unquantized_inputs =
          [](const FusedMoEConfig& config, const QuantKeys&) {
            return !config.parallel.use_all2all_kernels() || config.parallel.all2all_backend != All2AllBackend::mori;
          },
      .device_refusal =
          "kernel does not support current device. AITER MoE is not enabled: set "
          "VLLM_ROCM_USE_AITER=1 and VLLM_ROCM_USE_AITER_MOE=1 to enable it"};
};

/// mxfp4 weights by fp8 activations with one static scale, routing inside.
struct AiterW4A8ExpertsMonolithic {
  static constexpr ExpertsFacts facts{
      .name = "AiterW4A8ExpertsMonolithic",
      .is_monolithic = true,
      .runs_on = [](const Target& target) { return has_aiter(target) && target.gfx == gfx::gfx950; },
      .activations = ActivationSet::of(Activation::swigluoai),
      .takes_keys = [](const QuantKeys& keys,
                       const Target&) { return is_pair(keys, quant_key::mxfp4_static, quant_key::fp8_static_tensor); },
      .takes_parallel = one_rank_of_tokens,
      .routes = [](const QuantKeys&) { return renormalizing; },
      .expects_unquantized_inputs = always};
};

}  // namespace polymoe::oracle::vllm
