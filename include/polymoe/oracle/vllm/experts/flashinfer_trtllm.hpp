// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// The routing that the monolithic TRT-LLM kernels carry out.
inline constexpr RoutingSet trtllm_routing =
    RoutingSet::of(RoutingMethod::renormalize, RoutingMethod::renormalize_naive, RoutingMethod::deepseek_v3,
                   RoutingMethod::sigmoid_renorm, RoutingMethod::minimax2, RoutingMethod::simulated);

inline constexpr RoutingSet trtllm_routing_with_llama4 = {trtllm_routing.bits |
                                                          RoutingSet::of(RoutingMethod::llama4).bits};

/// bf16 weights, routing inside.
struct TrtLlmBf16Experts {
  static constexpr ExpertsFacts facts{
      .name = "TrtLlmBf16Experts",
      .is_monolithic = true,
      .runs_on = has_flashinfer_trtllm,
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_unquantized(keys); },
      .takes_parallel = at_most_allgather,
      .routes =
          [](const QuantKeys&) {
            return RoutingSet::of(RoutingMethod::renormalize, RoutingMethod::renormalize_naive,
                                  RoutingMethod::deepseek_v3, RoutingMethod::llama4);
          },
      .expects_unquantized_inputs = always};
};

/// fp8 with block or mx scales; fp8 with one scale a tensor routes inside (the monolithic class).
struct TrtLlmFp8ExpertsModular {
  static constexpr ExpertsFacts facts{
      .name = "TrtLlmFp8ExpertsModular",
      .runs_on = has_flashinfer_trtllm,
      .takes_no_act_and_mul = true,
      .activations = ActivationSet::of(Activation::silu, Activation::relu2_no_mul),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_block(keys) || is_mxfp8(keys); },
      .takes_parallel = at_most_allgather};
};

/// Llama 4 routes with one scale a tensor only: its weight is applied on the input.
struct TrtLlmFp8ExpertsMonolithic {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = TrtLlmFp8ExpertsModular::facts;
    facts.name = "TrtLlmFp8ExpertsMonolithic";
    facts.is_monolithic = true;
    facts.takes_keys = [](const QuantKeys& keys, const Target&) {
      return is_fp8_block(keys) || is_fp8_static_tensor(keys) || is_mxfp8(keys);
    };
    facts.routes = [](const QuantKeys& keys) {
      return is_fp8_static_tensor(keys) ? trtllm_routing_with_llama4 : trtllm_routing;
    };
    return facts;
  }();
};

/// nvfp4; takes any exchange, for tokens arrive with their experts.
struct TrtLlmNvFp4ExpertsModular {
  static constexpr ExpertsFacts facts{
      .name = "TrtLlmNvFp4ExpertsModular",
      .runs_on = has_flashinfer_trtllm,
      .takes_no_act_and_mul = true,
      .activations = ActivationSet::of(Activation::silu, Activation::gelu, Activation::relu2_no_mul),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_nvfp4(keys); }};
};

/// nvfp4, routing inside.
struct TrtLlmNvFp4ExpertsMonolithic {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = TrtLlmNvFp4ExpertsModular::facts;
    facts.name = "TrtLlmNvFp4ExpertsMonolithic";
    facts.is_monolithic = true;
    facts.takes_parallel = no_all2all;
    facts.routes = [](const QuantKeys&) { return trtllm_routing_with_llama4; };
    return facts;
  }();
};

/// mxfp4 weights by bf16 or mxfp8 activations.
struct TrtLlmMxfp4ExpertsModular {
  static constexpr ExpertsFacts facts{.name = "TrtLlmMxfp4ExpertsModular",
                                      .runs_on = has_flashinfer_trtllm,
                                      .activations = ActivationSet::of(Activation::silu, Activation::swigluoai),
                                      .takes_keys =
                                          [](const QuantKeys& keys, const Target&) {
                                            return is_mxfp4_wide(keys) ||
                                                   is_pair(keys, quant_key::mxfp4_static, quant_key::mxfp8_dynamic);
                                          },
                                      .takes_expert_map = true};
};

/// mxfp4, routing inside.
struct TrtLlmMxfp4ExpertsMonolithic {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = TrtLlmMxfp4ExpertsModular::facts;
    facts.name = "TrtLlmMxfp4ExpertsMonolithic";
    facts.is_monolithic = true;
    facts.takes_parallel = one_rank_of_tokens;
    facts.routes = [](const QuantKeys&) { return renormalizing; };
    facts.takes_expert_map = false;
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
