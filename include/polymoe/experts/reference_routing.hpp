// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/target/isa_namespace.hpp"

// The judge's routing: numerics.md, section 3, in plain code and in double.

namespace polymoe::inline POLYMOE_ISA::experts::reference {

/// Chooses the experts of one token.
class Router {
 public:
  Router(RoutingMethod method, const RoutingParameters& parameters, std::span<const float> bias)
      : method_(method), parameters_(parameters), bias_(bias) {}

  /// `scratch` is room for 3 E numbers.
  void route(const std::byte* logits, DType dtype, std::int64_t num_experts, std::int64_t top_k, float* topk_weights,
             std::int32_t* topk_ids, double* scratch) const noexcept {
    double* const scores = scratch;
    double* const weights = scratch + num_experts;
    double* const group_scores = weights + num_experts;
    for (std::int64_t e = 0; e < num_experts; ++e) weights[e] = static_cast<double>(load_as_float(logits, dtype, e));
    transform(weights, num_experts);
    for (std::int64_t e = 0; e < num_experts; ++e) {
      const double score = weights[e] + (takes_bias() && !bias_.empty() ? bias_[static_cast<std::size_t>(e)] : 0.0);
      scores[e] = score < least ? least : score;
    }
    if (method_ == RoutingMethod::deepseek_v3 || method_ == RoutingMethod::grouped_softmax) {
      keep_best_groups(scores, num_experts, group_scores);
    }
    double sum = 0;
    for (std::int64_t j = 0; j < top_k; ++j) {
      const std::int64_t best = best_of(scores, num_experts);
      topk_ids[j] = static_cast<std::int32_t>(best);
      scores[best] = chosen;
      sum += weights[best];
    }
    const double divisor = renormalizes() ? sum + (method_ == RoutingMethod::deepseek_v3 ? 1e-20 : 0.0) : 1.0;
    for (std::int64_t j = 0; j < top_k; ++j) {
      const double weight = weights[topk_ids[j]];
      const double finished = method_ == RoutingMethod::llama4 ? sigmoid(weight) : weight / divisor;
      topk_weights[j] = static_cast<float>(finished * static_cast<double>(parameters_.routed_scaling_factor));
    }
  }

 private:
  // Marks below every score: a score of minus infinity is lifted above them.
  static constexpr double chosen = -std::numeric_limits<double>::infinity();
  static constexpr double excluded = std::numeric_limits<double>::lowest();
  static constexpr double least = excluded / 2;

  static double sigmoid(double z) { return 1.0 / (1.0 + std::exp(-z)); }

  bool takes_bias() const {
    return method_ == RoutingMethod::minimax2 || method_ == RoutingMethod::deepseek_v3 ||
           method_ == RoutingMethod::deepseek_v4;
  }

  bool renormalizes() const {
    switch (method_) {
      case RoutingMethod::renormalize:
      case RoutingMethod::renormalize_naive:
      case RoutingMethod::sigmoid_renorm:
      case RoutingMethod::minimax2:
      case RoutingMethod::deepseek_v3:
      case RoutingMethod::deepseek_v4: return true;
      case RoutingMethod::grouped_softmax: return parameters_.renormalize;
      default: return false;
    }
  }

  /// Logits become the numbers that are chosen by (but for the bias) and that weights are made of.
  void transform(double* values, std::int64_t n) const {
    switch (method_) {
      case RoutingMethod::softmax:
      case RoutingMethod::renormalize:
      case RoutingMethod::renormalize_naive:
      case RoutingMethod::grouped_softmax: return softmax(values, n);
      case RoutingMethod::sigmoid_renorm:
      case RoutingMethod::minimax2:
      case RoutingMethod::deepseek_v3:
        for (std::int64_t e = 0; e < n; ++e) values[e] = sigmoid(values[e]);
        return;
      case RoutingMethod::deepseek_v4:
        for (std::int64_t e = 0; e < n; ++e) {
          const double z = values[e];
          values[e] = std::sqrt((z > 0 ? z : 0.0) + std::log1p(std::exp(-std::fabs(z))));
        }
        return;
      default: return;
    }
  }

  static void softmax(double* values, std::int64_t n) {
    double greatest = values[0];
    for (std::int64_t e = 1; e < n; ++e) greatest = values[e] > greatest ? values[e] : greatest;
    double sum = 0;
    for (std::int64_t e = 0; e < n; ++e) sum += values[e] = std::exp(values[e] - greatest);
    for (std::int64_t e = 0; e < n; ++e) values[e] /= sum;
  }

  /// The first of the greatest that is not chosen yet; a NaN loses against every number.
  static std::int64_t best_of(const double* scores, std::int64_t n) {
    std::int64_t best = -1;
    for (std::int64_t e = 0; e < n; ++e) {
      if (scores[e] == chosen) continue;
      if (best < 0 || scores[e] > scores[best] || (std::isnan(scores[best]) && !std::isnan(scores[e]))) best = e;
    }
    return best;
  }

  /// The score of a group: the sum of its two largest (deepseek_v3) or its largest (grouped_softmax).
  double group_score(const double* scores, std::int64_t size) const {
    double first = excluded;
    double second = excluded;
    for (std::int64_t i = 0; i < size; ++i) {
      if (scores[i] > first) {
        second = first;
        first = scores[i];
      } else if (scores[i] > second) {
        second = scores[i];
      }
    }
    const bool two = method_ == RoutingMethod::deepseek_v3 && size > 1;
    return two ? first + second : first;
  }

  /// Excludes the experts of all groups but the topk_group best; `group_scores` is room for n_group numbers.
  void keep_best_groups(double* scores, std::int64_t num_experts, double* group_scores) const {
    const std::int64_t size = num_experts / parameters_.n_group;
    for (std::int64_t g = 0; g < parameters_.n_group; ++g) group_scores[g] = group_score(scores + g * size, size);
    for (std::int64_t kept = 0; kept < parameters_.topk_group; ++kept) {
      group_scores[best_of(group_scores, parameters_.n_group)] = chosen;
    }
    for (std::int64_t e = 0; e < num_experts; ++e) {
      if (group_scores[e / size] != chosen) scores[e] = excluded;
    }
  }

  RoutingMethod method_;
  RoutingParameters parameters_;
  std::span<const float> bias_;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts::reference
