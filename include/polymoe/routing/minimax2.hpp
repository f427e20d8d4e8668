// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// Chosen by sigmoid + bias; weights are the sigmoids without bias, divided by their sum.
struct Minimax2 {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    detail::choose_by_biased_score<V, detail::Sigmoid>(row);
    detail::score_weights<V, detail::Sigmoid>(row, true, 0.0);
  }
};

static_assert(RoutingPolicy<Minimax2>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
