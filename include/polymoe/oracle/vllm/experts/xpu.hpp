// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Intel's kernels, which quantize by themselves.
struct XPUExperts {
  static constexpr ExpertsFacts facts{
      .name = "XPUExperts",
      .runs_on = [](const Target& target) { return target.platform == Platform::xpu; },
      .takes_no_act_and_mul = true,
      .activations =
          ActivationSet::of(Activation::silu, Activation::gelu, Activation::swigluoai, Activation::relu2_no_mul),
      .takes_keys =
          [](const QuantKeys& keys, const Target&) {
            return is_unquantized(keys) || is_pair(keys, quant_key::fp8_static_tensor, quant_key::none) ||
                   is_pair(keys, quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor);
          },
      .takes_expert_map = true,
      .expects_unquantized_inputs = always};
};

struct XPUExpertsFp8 {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = XPUExperts::facts;
    facts.name = "XPUExpertsFp8";
    facts.takes_keys = [](const QuantKeys& keys, const Target&) {
      return is_pair(keys, quant_key::fp8_static_tensor, quant_key::none) ||
             is_pair(keys, quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor);
    };
    return facts;
  }();
};

struct XPUExpertsMxfp8 {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = XPUExperts::facts;
    facts.name = "XPUExpertsMxfp8";
    facts.takes_keys = [](const QuantKeys& keys, const Target&) {
      return is_pair(keys, quant_key::mxfp8_static, quant_key::none) || is_mxfp8(keys);
    };
    return facts;
  }();
};

struct XPUExpertsMXFp4 {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = XPUExperts::facts;
    facts.name = "XPUExpertsMXFp4";
    facts.takes_keys = [](const QuantKeys& keys, const Target&) { return is_mxfp4_wide(keys); };
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
