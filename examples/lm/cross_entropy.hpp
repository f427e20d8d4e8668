// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "examples/lm/matrix.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/lm/transformer.hpp"

namespace polymoe::lm {

/// -log softmax(logits)[target], in fp32.
inline float negative_log_likelihood(std::span<const float> logits, Token target) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[static_cast<std::size_t>(target)];
}

/// The sum of a text's cross entropy, and how many tokens it was of.
struct CrossEntropy {
  double nats = 0;
  std::int64_t targets = 0;

  double mean() const { return targets == 0 ? 0.0 : nats / static_cast<double>(targets); }
};

/// The tokens are cut into windows that do not overlap, each a sequence of its own; every position predicts the token
/// that follows it in the text, be it the first of the next window.
template <Executor E, MoELayers F>
CrossEntropy cross_entropy(const Transformer& model, std::span<const Token> tokens, std::int64_t window, F&& moe,
                           E& executor) {
  CrossEntropy result;
  Sequence sequence = model.make_sequence(window);
  Matrix logits(window, model.config().vocab_size);
  const auto vocabulary = static_cast<std::size_t>(model.config().vocab_size);
  for (std::size_t begin = 0; begin + 1 < tokens.size(); begin += static_cast<std::size_t>(window)) {
    const auto piece = tokens.subspan(begin, std::min(static_cast<std::size_t>(window), tokens.size() - begin));
    sequence.clear();
    model.forward(piece, sequence, logits.top(static_cast<std::int64_t>(piece.size())), moe, executor);
    for (std::size_t i = 0; i < piece.size() && begin + i + 1 < tokens.size(); ++i) {
      const std::span<const float> row(logits.row(static_cast<std::int64_t>(i)), vocabulary);
      result.nats += negative_log_likelihood(row, tokens[begin + i + 1]);
      ++result.targets;
    }
  }
  return result;
}

}  // namespace polymoe::lm
