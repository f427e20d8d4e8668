// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "examples/lm/expert_layers.hpp"
#include "examples/lm/experts.hpp"
#include "examples/lm/generate.hpp"
#include "examples/lm/matmul.hpp"
#include "examples/lm/matrix.hpp"
#include "examples/lm/sampler.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/lm/transformer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"

// Static activation scales: the greatest magnitudes that a run of the unquantized model shows.

namespace polymoe::lm {

/// Greatest magnitudes of what enters the two products of a layer's experts.
struct ActivationRange {
  float w13 = 0.0F;
  float w2 = 0.0F;
};

/// The scale of a static activation key (numerics.md, section 4) with which `greatest` is still a code.
inline float static_scale(const QuantKey& key, float greatest) {
  const float largest_code = key.element == QuantElement::e2m1 ? e4m3_max * e2m1_max : e4m3_max;
  return greatest > 0.0F ? greatest / largest_code : 1.0F;
}

namespace detail {

/// Weights [N, K] of one expert as the right operand of multiply(): [K, N].
inline Matrix right_operand(const TensorView& weight, std::int64_t expert) {
  const std::int64_t rows = weight.shape[1];
  const std::int64_t columns = weight.shape[2];
  Matrix matrix(columns, rows);
  for (std::int64_t n = 0; n < rows; ++n) {
    for (std::int64_t k = 0; k < columns; ++k) {
      matrix.row(k)[n] = load_as_float(weight.data, weight.dtype, (expert * rows + n) * columns + k);
    }
  }
  return matrix;
}

inline float greatest_magnitude(MatrixView<const float> rows) {
  float greatest = 0.0F;
  for (std::int64_t t = 0; t < rows.rows; ++t) {
    for (std::int64_t i = 0; i < rows.columns; ++i) greatest = std::max(greatest, std::fabs(rows.row(t)[i]));
  }
  return greatest;
}

/// The greatest magnitude of silu(gate) * up, over all experts and the tokens that chose them.
inline float greatest_intermediate(const ExpertWeights& experts, MatrixView<const float> moe_input,
                                   MatrixView<const std::int32_t> topk_ids) {
  const TensorView& w13 = experts.checkpoint.w13.weight;
  const std::int64_t intermediate = w13.shape[1] / 2;
  float greatest = 0.0F;
  for (std::int64_t e = 0; e < w13.shape[0]; ++e) {
    Matrix tokens(moe_input.rows, moe_input.columns);
    std::int64_t count = 0;
    for (std::int64_t t = 0; t < moe_input.rows; ++t) {
      const std::int32_t* const chosen = topk_ids.row(t);
      if (std::find(chosen, chosen + topk_ids.columns, e) == chosen + topk_ids.columns) continue;
      std::copy_n(moe_input.row(t), moe_input.columns, tokens.row(count++));
    }
    Matrix sums(count, 2 * intermediate);
    multiply(tokens.top(count), right_operand(w13, e).view(), sums.view());
    for (std::int64_t t = 0; t < count; ++t) {
      for (std::int64_t i = 0; i < intermediate; ++i) {
        const float gate = sums.row(t)[i];
        const float value = gate / (1.0F + std::exp(-gate)) * sums.row(t)[intermediate + i];
        greatest = std::max(greatest, std::fabs(value));
      }
    }
  }
  return greatest;
}

}  // namespace detail

/// Lets the unquantized model write `count` tokens of its own (temperature 1, a fixed seed), and measures what its
/// layers see on the way. Needs no text, and gives the same for every use of a model.
template <Executor E>
std::vector<ActivationRange> calibrate(const Transformer& model, const std::vector<ExpertWeights>& experts,
                                       ExpertLayers& layers, std::int64_t count, E& executor) {
  std::vector<Token> text{'\n'};
  Sampler sampler(1.0, 1);
  generate(model, std::vector<Token>(text), count - 1, sampler, layers, executor,
           [&](Token token) { text.push_back(token); });

  std::vector<ActivationRange> ranges(experts.size());
  const auto length = static_cast<std::int64_t>(text.size());
  Sequence sequence = model.make_sequence(length);
  Matrix logits(1, model.config().vocab_size);
  const auto measure = [&](const MoECall& call) {
    layers(call);
    const auto layer = static_cast<std::size_t>(call.layer);
    ranges[layer] = {detail::greatest_magnitude(call.moe_input),
                     detail::greatest_intermediate(experts[layer], call.moe_input, layers.topk_ids())};
  };
  model.forward(text, sequence, logits.view(), measure, executor);
  return ranges;
}

}  // namespace polymoe::lm
