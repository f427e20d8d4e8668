// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/groups.hpp"
#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// DeepSeek-V2: softmax over all experts; the k greatest among the topk_group groups with the greatest maxima are the
/// weights, divided by their sum on request.
struct GroupedSoftmax {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    float* const keys = row.scratch.keys<float>();
    const bool has_nan = detail::logit_keys<V>(row, keys);
    detail::keep_best_groups<V>(row, keys,
                                [](const float* group, std::int64_t size) { return detail::maximum<V>(group, size); });
    choose_experts<V>(row, keys);
    detail::softmax_weights<V>(row, row.parameters.renormalize, has_nan);
  }
};

static_assert(RoutingPolicy<GroupedSoftmax>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
