// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "examples/lm/matrix.hpp"
#include "examples/lm/sampler.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/lm/transformer.hpp"

namespace polymoe::lm {

/// Continues `prompt` (at least one token) by up to `count` tokens: the prompt in one pass, then token by token. Calls
/// on_token(token) for each, and ends early where the model has no more positions. Gives the number of new tokens.
template <Executor E, MoELayers F, std::invocable<Token> OnToken>
std::int64_t generate(const Transformer& model, std::span<const Token> prompt, std::int64_t count, Sampler& sampler,
                      F&& moe, E& executor, OnToken&& on_token) {
  const auto given = static_cast<std::int64_t>(prompt.size());
  const std::int64_t most = model.config().max_position_embeddings;
  // The last new token is not fed back, so it needs no position.
  Sequence sequence = model.make_sequence(std::clamp<std::int64_t>(given + count - 1, given, std::max(most, given)));
  Matrix logits(1, model.config().vocab_size);
  const std::span<const float> row(logits.row(0), static_cast<std::size_t>(model.config().vocab_size));
  model.forward(prompt, sequence, logits.view(), moe, executor);
  for (std::int64_t made = 0; made < count; ++made) {
    const Token token = sampler(row);
    on_token(token);
    if (made + 1 == count || sequence.length() == most) return made + 1;
    model.forward(std::span(&token, 1), sequence, logits.view(), moe, executor);
  }
  return 0;
}

}  // namespace polymoe::lm
