// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "polymoe/routing/row.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// A callable of the caller: f(std::span<const float> logits, std::span<std::int32_t> ids, std::span<float> weights)
/// for one token, [E], [k], [k]. It fills ids, each in [-1, E), and weights, which are then multiplied by
/// routed_scaling_factor. It runs where nothing may throw, and says so by noexcept.
template <class F>
struct Custom {
  F function;

  template <FloatVector V>
  void route(const RoutingRow& row) const noexcept {
    static_assert(
        std::is_nothrow_invocable_v<const F&, std::span<const float>, std::span<std::int32_t>, std::span<float>>,
        "a custom routing takes (span<const float> logits, span<int32_t> ids, span<float> weights) and is noexcept");
    const auto top_k = static_cast<std::size_t>(row.top_k);
    function(std::span(row.logits, static_cast<std::size_t>(row.num_experts)), std::span(row.ids, top_k),
             std::span(row.weights, top_k));
    for (std::int64_t j = 0; j < row.top_k; ++j) row.weights[j] *= row.parameters.routed_scaling_factor;
  }
};

template <class F>
Custom(F) -> Custom<F>;

}  // namespace polymoe::inline POLYMOE_ISA::routing
