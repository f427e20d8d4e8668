// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/oracle/support.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::oracle {

/// The activation format that a form of experts class consumes.
constexpr ActivationFormat activation_format_of(ExpertsForm form) {
  return form == ExpertsForm::batched ? ActivationFormat::batched : ActivationFormat::standard;
}

/// The routing methods that a kernel can carry out by itself.
constexpr bool routes_by_itself(RoutingMethod method) {
  return method != RoutingMethod::given && method != RoutingMethod::custom && method != RoutingMethod::unspecified &&
         method != RoutingMethod::simulated;
}

/// What every CPU candidate asks, whatever its instruction set.
constexpr Support cpu_requirements(ExpertsForm form, const FusedMoEConfig& config, const QuantKeys& keys,
                                   const Target& target) {
  const bool weight_on_input =
      config.apply_router_weight_on_input == Choice::yes || config.routing == RoutingMethod::llama4;
  return first_refusal(
      require(target.platform == Platform::cpu, "the target is not a CPU"),
      require(form != ExpertsForm::batched || config.activation_format() == ActivationFormat::batched,
              "activations arrive in the standard format, and this class takes the batched one"),
      require(form == ExpertsForm::batched || config.activation_format() == ActivationFormat::standard,
              "activations arrive in the batched format, and this class takes the standard one"),
      require(form != ExpertsForm::monolithic || config.expects_router_logits,
              "the config brings expert ids and weights, and this class takes router logits"),
      require(form == ExpertsForm::monolithic || !config.expects_router_logits || form == ExpertsForm::batched,
              "the config brings router logits, and this class takes expert ids and weights"),
      require(form != ExpertsForm::batched || !config.expects_router_logits,
              "the config brings router logits, and batched experts do not route"),
      require(form != ExpertsForm::monolithic || routes_by_itself(config.routing),
              "the routing method is the caller's, and a monolithic kernel routes by itself"),
      require(config.activation != Activation::relu2, "no CPU kernel computes a gated relu2"),
      require(!weight_on_input || !config.top_k.is_static() || config.top_k.size == 1,
              "the router weight is applied on the input, which needs top_k = 1"),
      require(!weight_on_input || form != ExpertsForm::batched,
              "the router weight is applied on the input, and batched experts do not see it"),
      require(keys.effective_activation() != quant_key::fp8_dynamic_tensor || form != ExpertsForm::batched,
              "the activation scale is of all tokens, and batched experts see only their own"),
      require(keys.effective_activation() != quant_key::fp8_dynamic_tensor || !config.numerics.batch_invariant,
              "the activation scale is of all tokens, and the config asks for batch invariance"),
      require(!config.is_lora_enabled, "CPU kernels have no LoRA"),
      require(is_floating_point(config.in_dtype) || config.in_dtype == DType::runtime,
              "hidden states are neither bf16 nor fp16 nor fp32"));
}

}  // namespace polymoe::oracle
