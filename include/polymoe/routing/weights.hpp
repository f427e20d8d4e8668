// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "polymoe/routing/scores.hpp"

namespace polymoe::inline POLYMOE_ISA::routing::detail {

/// weights[j] = Score(logit of expert j), divided by (their sum + `epsilon`) if asked, times routed_scaling_factor; in
/// double, rounded once.
template <FloatVector V, class Score>
inline void score_weights(const RoutingRow& row, bool renormalize, double epsilon) noexcept {
  // Chosen logits are worked off eight at a time: k is 8 or less in most layers.
  constexpr std::int64_t chunk = 8;
  using L = Lanes<double, V>;
  static_assert(chunk % lanes<double, V> == 0);
  const auto scores_of = [&](std::int64_t begin, std::int64_t count, double* scores) {
    float logits[chunk] = {};
    for (std::int64_t j = 0; j < count; ++j) logits[j] = row.logits[row.ids[begin + j]];
    for (std::int64_t j = 0; j < chunk; j += lanes<double, V>) {
      const L score = Score::template apply<L>(load_doubles<L>(logits + j));
      if constexpr (std::same_as<L, double>) {
        scores[j] = score;
      } else {
        score.store_unaligned(scores + j);
      }
    }
  };
  const auto factor = static_cast<double>(row.parameters.routed_scaling_factor);
  double scores[chunk];
  double sum = 0.0;
  if (renormalize) {
    for (std::int64_t begin = 0; begin < row.top_k; begin += chunk) {
      const std::int64_t count = std::min(chunk, row.top_k - begin);
      scores_of(begin, count, scores);
      for (std::int64_t j = 0; j < count; ++j) sum += scores[j];
    }
  }
  const double scale = renormalize ? factor / (sum + epsilon) : factor;
  for (std::int64_t begin = 0; begin < row.top_k; begin += chunk) {
    const std::int64_t count = std::min(chunk, row.top_k - begin);
    if (begin > 0 || !renormalize || row.top_k > chunk) scores_of(begin, count, scores);
    for (std::int64_t j = 0; j < count; ++j) row.weights[begin + j] = static_cast<float>(scores[j] * scale);
  }
}

/// The sum of e^(logits[e] - greatest) over n experts, in double. Infinities and NaN make it a NaN.
template <FloatVector V>
inline double sum_of_exponentials(const float* logits, std::int64_t n, float greatest) noexcept {
  using L = Lanes<double, V>;
  const L shift(static_cast<double>(greatest));
  L running(0.0);
  std::int64_t e = 0;
  for (; e + lanes<double, V> <= n; e += lanes<double, V>) {
    running = running + exp_of_negative(load_doubles<L>(logits + e) - shift);
  }
  double sum;
  if constexpr (std::same_as<L, double>) {
    sum = running;
  } else {
    sum = xsimd::hadd(running);
  }
  for (; e < n; ++e) sum += exp_of_negative(static_cast<double>(logits[e]) - static_cast<double>(greatest));
  return sum;
}

/// weights[j] = softmax of the logits at expert j, over all experts or over those chosen, times routed_scaling_factor;
/// in double, rounded once. The first expert chosen has the greatest logit. Where the row has a NaN all weights are
/// NaN.
template <FloatVector V>
inline void softmax_weights(const RoutingRow& row, bool renormalize, bool has_nan) noexcept {
  constexpr std::int64_t chunk = lanes<double, V>;
  using L = Lanes<double, V>;
  const float greatest = row.logits[row.ids[0]];
  for (std::int64_t j = 0; j < row.top_k; ++j) row.weights[j] = row.logits[row.ids[j]];
  const double sum = renormalize ? sum_of_exponentials<V>(row.weights, row.top_k, greatest)
                                 : sum_of_exponentials<V>(row.logits, row.num_experts, greatest);
  const double scale = has_nan ? absent<double> : static_cast<double>(row.parameters.routed_scaling_factor) / sum;
  for (std::int64_t begin = 0; begin < row.top_k; begin += chunk) {
    const std::int64_t count = std::min(chunk, row.top_k - begin);
    float logits[chunk] = {};
    std::copy_n(row.weights + begin, count, logits);
    const L weights = exp_of_negative(load_doubles<L>(logits) - L(static_cast<double>(greatest))) * L(scale);
    double values[chunk];
    if constexpr (std::same_as<L, double>) {
      values[0] = weights;
    } else {
      weights.store_unaligned(values);
    }
    for (std::int64_t j = 0; j < count; ++j) row.weights[begin + j] = static_cast<float>(values[j]);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::routing::detail
