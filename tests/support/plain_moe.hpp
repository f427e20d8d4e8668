// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "examples/lm/experts.hpp"
#include "examples/lm/model_config.hpp"
#include "examples/lm/transformer.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/numeric/convert.hpp"

namespace polymoe::test {

/// The MoE layers of a model as numerics.md defines them, in plain scalar code: routing "renormalize", activation silu.
/// `Real` is what everything is computed in. Keeps what the last pass routed, for tests to look at.
template <class Real>
class PlainMoE {
 public:
  struct Routed {
    std::vector<std::int32_t> topk_ids;  ///< [T, k]
    std::vector<float> topk_weights;
  };

  PlainMoE(const tools::Checkpoint& checkpoint, const lm::ModelConfig& config)
      : config_(config), routed_(static_cast<std::size_t>(config.num_hidden_layers)) {
    for (std::int64_t n = 0; n < config.num_hidden_layers; ++n) {
      const lm::ExpertWeights experts = lm::gather_experts(checkpoint, config, n);
      layers_.push_back({widened(experts.checkpoint.w13.weight), widened(experts.checkpoint.w2.weight)});
    }
  }

  const Routed& routed(std::int64_t layer) const { return routed_[static_cast<std::size_t>(layer)]; }

  void operator()(const lm::MoECall& call) {
    Routed& routed = routed_[static_cast<std::size_t>(call.layer)];
    routed = {};
    const Layer& layer = layers_[static_cast<std::size_t>(call.layer)];
    for (std::int64_t t = 0; t < call.moe_input.rows; ++t) {
      const float* const logits = call.router_logits.row(t);
      const std::vector<std::int64_t> chosen = largest(logits);
      Real sum = 0;
      for (const std::int64_t e : chosen) sum += std::exp(static_cast<Real>(logits[e]) - logits[chosen[0]]);
      std::vector<Real> output(static_cast<std::size_t>(config_.hidden_size));
      for (const std::int64_t e : chosen) {
        const Real weight = std::exp(static_cast<Real>(logits[e]) - logits[chosen[0]]) / sum;
        routed.topk_ids.push_back(static_cast<std::int32_t>(e));
        routed.topk_weights.push_back(static_cast<float>(weight));
        add_expert(layer, e, weight, call.moe_input.row(t), output);
      }
      std::transform(output.begin(), output.end(), call.moe_output.row(t),
                     [](Real x) { return static_cast<float>(x); });
    }
  }

 private:
  struct Layer {
    std::vector<Real> w13, w2;
  };

  static std::vector<Real> widened(const TensorView& tensor) {
    std::vector<Real> values(static_cast<std::size_t>(tensor.count()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = load_as_float(tensor.data, tensor.dtype, static_cast<std::int64_t>(i));
    }
    return values;
  }

  std::vector<std::int64_t> largest(const float* logits) const {
    std::vector<std::int64_t> experts(static_cast<std::size_t>(config_.num_experts));
    std::iota(experts.begin(), experts.end(), 0);
    std::stable_sort(experts.begin(), experts.end(),
                     [&](std::int64_t a, std::int64_t b) { return logits[a] > logits[b]; });
    experts.resize(static_cast<std::size_t>(config_.num_experts_per_tok));
    return experts;
  }

  template <class Element>
  static Real dot(const Real* row, const Element* x, std::int64_t size) {
    Real sum = 0;
    for (std::int64_t i = 0; i < size; ++i) sum += row[i] * static_cast<Real>(x[i]);
    return sum;
  }

  void add_expert(const Layer& layer, std::int64_t e, Real weight, const float* x, std::vector<Real>& output) const {
    const std::int64_t hidden = config_.hidden_size;
    const std::int64_t intermediate = config_.moe_intermediate_size;
    const Real* const w13 = layer.w13.data() + e * 2 * intermediate * hidden;
    const Real* const w2 = layer.w2.data() + e * hidden * intermediate;
    std::vector<Real> activated(static_cast<std::size_t>(intermediate));
    for (std::int64_t i = 0; i < intermediate; ++i) {
      const Real gate = dot(w13 + i * hidden, x, hidden);
      const Real up = dot(w13 + (intermediate + i) * hidden, x, hidden);
      activated[static_cast<std::size_t>(i)] = gate / (1 + std::exp(-gate)) * up;
    }
    for (std::int64_t h = 0; h < hidden; ++h) {
      output[static_cast<std::size_t>(h)] += weight * dot(w2 + h * intermediate, activated.data(), intermediate);
    }
  }

  lm::ModelConfig config_;
  std::vector<Layer> layers_;
  std::vector<Routed> routed_;
};

}  // namespace polymoe::test
