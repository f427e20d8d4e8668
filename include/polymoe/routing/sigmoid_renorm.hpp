// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// The k greatest sigmoids, divided by their sum, are the weights.
struct SigmoidRenorm {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    float* const keys = row.scratch.keys<float>();
    detail::logit_keys<V>(row, keys);
    choose_experts<V>(row, keys);
    detail::score_weights<V, detail::Sigmoid>(row, true, 0.0);
  }
};

static_assert(RoutingPolicy<SigmoidRenorm>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
