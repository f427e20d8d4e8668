// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/mp11/map.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/routing/custom.hpp"
#include "polymoe/routing/deepseek_v3.hpp"
#include "polymoe/routing/deepseek_v4.hpp"
#include "polymoe/routing/grouped_softmax.hpp"
#include "polymoe/routing/llama4.hpp"
#include "polymoe/routing/minimax2.hpp"
#include "polymoe/routing/renormalize.hpp"
#include "polymoe/routing/sigmoid_renorm.hpp"
#include "polymoe/routing/softmax.hpp"
#include "polymoe/routing/topk.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

template <RoutingMethod method>
using Method = std::integral_constant<RoutingMethod, method>;

/// Which policy serves which method. A new one is a file with a policy, and its line here.
using Policies = boost::mp11::mp_list<  //
    std::pair<Method<RoutingMethod::softmax>, Softmax>, std::pair<Method<RoutingMethod::renormalize>, Renormalize>,
    std::pair<Method<RoutingMethod::renormalize_naive>, Renormalize>,  // the same values by another way
    std::pair<Method<RoutingMethod::topk>, TopK>, std::pair<Method<RoutingMethod::sigmoid_renorm>, SigmoidRenorm>,
    std::pair<Method<RoutingMethod::llama4>, Llama4>, std::pair<Method<RoutingMethod::minimax2>, Minimax2>,
    std::pair<Method<RoutingMethod::deepseek_v3>, DeepSeekV3>,
    std::pair<Method<RoutingMethod::deepseek_v4>, DeepSeekV4>,
    std::pair<Method<RoutingMethod::grouped_softmax>, GroupedSoftmax>>;

/// There is a policy for the method: all of numerics.md, section 3, but custom, which brings its own.
constexpr bool has_policy(RoutingMethod method) {
  return []<class... Row>(RoutingMethod wanted, boost::mp11::mp_list<Row...>) {
    return ((Row::first_type::value == wanted) || ...);
  }(method, Policies{});
}

/// The policy of a method that is known at compile time.
template <RoutingMethod method>
requires(has_policy(method)) using policy_of =
    boost::mp11::mp_second<boost::mp11::mp_map_find<Policies, Method<method>>>;

/// Calls f(policy) with the policy of a method that is known at run time. Returns false, and calls nothing, where there
/// is none.
template <class F>
bool visit_policy(RoutingMethod method, F&& f) noexcept {
  return [&]<class... Row>(boost::mp11::mp_list<Row...>) {
    return ((Row::first_type::value == method ? (static_cast<void>(f(typename Row::second_type{})), true) : false) ||
            ...);
  }(Policies{});
}

/// Routes tokens [begin, end): logits [T, E] of bf16, fp16 or fp32 -> ids [T, k] and weights [T, k]. `bias` is the
/// e_score_correction_bias [E], or empty. k <= E. `scratch` is routing_scratch_bytes(E) bytes that no other thread
/// uses; rows are independent of each other.
template <FloatVector V = vector::Native, RoutingPolicy Policy>
void route_rows(const Policy& policy, const TokensView& logits, std::span<const float> bias,
                const RoutingParameters& parameters, const MatrixView<std::int32_t>& ids,
                const MatrixView<float>& weights, std::int64_t begin, std::int64_t end, std::byte* scratch) noexcept {
  const std::int64_t num_experts = logits.columns;
  const RoutingScratch parts(scratch, num_experts);
  RoutingRow row{.logits = parts.logits(),
                 .bias = bias.empty() ? nullptr : bias.data(),
                 .num_experts = num_experts,
                 .top_k = ids.columns,
                 .ids = nullptr,
                 .weights = nullptr,
                 .parameters = parameters,
                 .scratch = parts};
  if (num_experts == 0 || ids.columns == 0) return;
  visit_floating_dtype(logits.dtype, [&]<class T>() {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    for (std::int64_t t = begin; t < end; ++t) {
      const T* const from = reinterpret_cast<const T*>(logits.row(t));
      std::int64_t e = 0;
      for (; e + width <= num_experts; e += width) vector::store(parts.logits() + e, vector::load<V>(from + e));
      if (e < num_experts) {
        const auto rest = static_cast<std::size_t>(num_experts - e);
        vector::store(parts.logits() + e, vector::load<V>(from + e, rest), rest);
      }
      row.ids = ids.row(t);
      row.weights = weights.row(t);
      policy.template route<V>(row);
    }
  });
}

/// route_rows by a method that is known at run time, which is looked up once. Returns false, and writes nothing, where
/// there is no policy for it.
template <FloatVector V = vector::Native>
bool route(RoutingMethod method, const TokensView& logits, std::span<const float> bias,
           const RoutingParameters& parameters, const MatrixView<std::int32_t>& ids, const MatrixView<float>& weights,
           std::int64_t begin, std::int64_t end, std::byte* scratch) noexcept {
  return visit_policy(method, [&](const auto& policy) {
    route_rows<V>(policy, logits, bias, parameters, ids, weights, begin, end, scratch);
  });
}

}  // namespace polymoe::inline POLYMOE_ISA::routing
