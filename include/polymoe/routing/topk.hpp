// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/scores.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// The k greatest logits are the weights.
struct TopK {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    float* const keys = row.scratch.keys<float>();
    detail::logit_keys<V>(row, keys);
    choose_experts<V>(row, keys);
    for (std::int64_t j = 0; j < row.top_k; ++j) {
      row.weights[j] = row.logits[row.ids[j]] * row.parameters.routed_scaling_factor;
    }
  }
};

static_assert(RoutingPolicy<TopK>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
