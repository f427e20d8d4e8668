// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <span>

#include "polymoe/config/layer.hpp"
#include "polymoe/quant/quant_config.hpp"

namespace polymoe {

/// A layer with everything known, as an experts class gets it at construction. Where the config is static the two
/// agree, and an experts class reads the config's value, so that the compiler can fold it.
struct Layer {
  LayerShape shape{};
  QuantConfig quant{};
  RoutingMethod routing = RoutingMethod::renormalize;
  RoutingParameters routing_parameters{};
  std::span<const float> e_score_correction_bias{};
  std::span<const std::int32_t> expert_map{};
  bool apply_router_weight_on_input = false;

  /// The packed expert that a global id stands for; -1 where it is of another rank or no expert at all.
  std::int64_t packed_expert(std::int32_t id) const noexcept {
    if (id < 0) return -1;
    return expert_map.empty() ? id : expert_map[static_cast<std::size_t>(id)];
  }

  /// The packed expert of slot j of a token whose ids are topk_ids [k]: shared experts come after the routed ones.
  std::int64_t expert_of_slot(const std::int32_t* topk_ids, std::int64_t j) const noexcept {
    return j < shape.top_k ? packed_expert(topk_ids[j]) : shape.num_local_experts + j - shape.top_k;
  }
};

}  // namespace polymoe
