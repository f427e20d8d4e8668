// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/routing/groups.hpp"
#include "polymoe/routing/weights.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// Chosen by sigmoid + bias among the topk_group groups whose two greatest scores have the greatest sums; weights are
/// the sigmoids without bias, divided by (their sum + 1e-20).
struct DeepSeekV3 {
  template <FloatVector V>
  static void route(const RoutingRow& row) noexcept {
    if (row.parameters.topk_group >= row.parameters.n_group) {
      detail::choose_by_biased_score<V, detail::Sigmoid>(row);
    } else {
      double* const keys = row.scratch.keys<double>();
      detail::biased_scores<V, detail::Sigmoid>(row, keys);
      detail::keep_best_groups<V>(row, keys, [](const double* group, std::int64_t size) {
        return detail::sum_of_two_greatest<V>(group, size);
      });
      choose_experts<V>(row, keys);
    }
    detail::score_weights<V, detail::Sigmoid>(row, true, 1e-20);
  }
};

static_assert(RoutingPolicy<DeepSeekV3>);

}  // namespace polymoe::inline POLYMOE_ISA::routing
