// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string>

#include "polymoe/config/error.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/kernel/checks.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"

namespace polymoe::detail {

/// The size at run time; what the config fixes must be what came.
inline std::int64_t resolve_extent(const char* name, const Extent& configured, std::int64_t found) {
  if (configured.is_static() && configured.size != found) {
    raise_mismatch(name, std::to_string(found), std::to_string(configured.size) + " (the config)");
  }
  return found;
}

/// Everything about the layer, from the config where it is static and from the arguments where it is not.
inline Layer resolve_layer(const FusedMoEConfig& config, PackedWeightsView weights, const QuantConfig& quant_config,
                           const LayerParameters& parameters) {
  const PackedWeightsHeader& header = weights.header();
  Layer layer;
  layer.quant = quant_config;
  if (config.activation != Activation::runtime) layer.quant.activation = config.activation;
  layer.routing = config.routing == RoutingMethod::runtime ? parameters.routing : config.routing;
  layer.routing_parameters = parameters.routing_parameters;
  layer.e_score_correction_bias = parameters.e_score_correction_bias;
  layer.expert_map = parameters.expert_map;
  layer.apply_router_weight_on_input =
      layer.routing == RoutingMethod::llama4 || config.apply_router_weight_on_input == Choice::yes ||
      (config.apply_router_weight_on_input == Choice::runtime && parameters.apply_router_weight_on_input);

  LayerShape& shape = layer.shape;
  shape.num_shared_experts = config.num_shared_experts;
  shape.num_local_experts = header.num_experts - shape.num_shared_experts;
  shape.hidden_size = resolve_extent("hidden_size", config.hidden_size, header.hidden_size);
  shape.intermediate_size = resolve_extent("intermediate_size", config.intermediate_size, header.intermediate_size);
  shape.gated = header.gated != 0;
  const std::int64_t known = parameters.num_experts > 0 ? parameters.num_experts : shape.num_local_experts;
  shape.num_experts = config.num_experts.value_or(known);
  shape.top_k = config.top_k.value_or(parameters.top_k);

  if (header.num_shared_experts != shape.num_shared_experts) {
    raise_mismatch("num_shared_experts", std::to_string(header.num_shared_experts) + " (the weights)",
                   std::to_string(shape.num_shared_experts) + " (the config)");
  }
  if (is_gated(layer.quant.activation) != shape.gated) {
    raise_mismatch("w13_weight", shape.gated ? "gate and up rows" : "w1 rows alone",
                   "those of the activation " + std::string(name(layer.quant.activation)));
  }
  if (shape.top_k < 1 || shape.top_k > shape.num_experts) {
    raise_mismatch("top_k", std::to_string(shape.top_k), "1 to " + std::to_string(shape.num_experts));
  }
  if (layer.apply_router_weight_on_input && shape.top_k != 1) {
    raise_mismatch("top_k", std::to_string(shape.top_k), "1, because the router weight is applied on the input");
  }
  if (!layer.e_score_correction_bias.empty() &&
      static_cast<std::int64_t>(layer.e_score_correction_bias.size()) != shape.num_experts) {
    raise_mismatch("e_score_correction_bias", std::to_string(layer.e_score_correction_bias.size()) + " entries",
                   std::to_string(shape.num_experts));
  }
  checks::require_expert_map(layer.expert_map, shape);
  return layer;
}

/// Groups of experts (deepseek_v3, grouped_softmax) must divide E and be able to hold top_k.
inline void require_routable(const Layer& layer) {
  const RoutingMethod method = layer.routing;
  if (!oracle::routes_by_itself(method)) {
    raise_mismatch("routing", std::string(name(method)), "a method that the library carries out");
  }
  const LayerShape& shape = layer.shape;
  const RoutingParameters& parameters = layer.routing_parameters;
  if (method == RoutingMethod::llama4 && shape.top_k != 1) {
    raise_mismatch("top_k", std::to_string(shape.top_k), "1 for the routing llama4");
  }
  if (method != RoutingMethod::deepseek_v3 && method != RoutingMethod::grouped_softmax) return;
  if (parameters.n_group < 1 || shape.num_experts % parameters.n_group != 0) {
    raise_mismatch("n_group", std::to_string(parameters.n_group),
                   "a divisor of " + std::to_string(shape.num_experts) + " experts");
  }
  const std::int64_t chosen = std::int64_t{parameters.topk_group} * (shape.num_experts / parameters.n_group);
  if (parameters.topk_group < 1 || parameters.topk_group > parameters.n_group || chosen < shape.top_k) {
    raise_mismatch("topk_group", std::to_string(parameters.topk_group),
                   "1 to " + std::to_string(parameters.n_group) +
                       " groups that hold top_k = " + std::to_string(shape.top_k) + " experts");
  }
}

/// The config with nothing left to run time: what a candidate's predicate is asked again when the layer is there.
inline FusedMoEConfig resolved_config(FusedMoEConfig config, const Layer& layer) {
  config.num_experts = layer.shape.num_experts;
  config.top_k = layer.shape.top_k;
  config.hidden_size = layer.shape.hidden_size;
  config.intermediate_size = layer.shape.intermediate_size;
  config.activation = layer.quant.activation;
  config.routing = layer.routing;
  config.apply_router_weight_on_input = layer.apply_router_weight_on_input ? Choice::yes : Choice::no;
  return config;
}

}  // namespace polymoe::detail
