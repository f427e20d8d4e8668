// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// Chosen by sqrt(softplus) + bias; weights are the scores without bias, divided by their sum.
struct DeepSeekV4 {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    detail::choose_by_biased_score<V, detail::SqrtSoftplus>(row);
    detail::score_weights<V, detail::SqrtSoftplus>(row, true, 0.0);
  }
};

static_assert(RoutingPolicy<DeepSeekV4>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
