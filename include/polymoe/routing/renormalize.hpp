// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// softmax over all experts; its k greatest values, divided by their sum, are the weights.
struct Renormalize {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    float* const keys = row.scratch.keys<float>();
    const bool has_nan = detail::logit_keys<V>(row, keys);
    choose_experts<V>(row, keys);
    detail::softmax_weights<V>(row, true, has_nan);
  }
};

static_assert(RoutingPolicy<Renormalize>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
