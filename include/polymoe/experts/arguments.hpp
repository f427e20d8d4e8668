// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <span>

#include "polymoe/config/view.hpp"

namespace polymoe {

/// What a modular experts class is given. All shapes have been checked; ids are in [-1, E).
struct ModularArguments {
  MutableTokensView out{};                    ///< [T, H]; may be the memory of hidden_states
  TokensView hidden_states{};                 ///< [T, H]
  MatrixView<const float> topk_weights{};     ///< [T, k]
  MatrixView<const std::int32_t> topk_ids{};  ///< [T, k] global expert ids, -1: none
};

/// What a monolithic experts class is given: it routes by itself.
struct MonolithicArguments {
  MutableTokensView out{};
  TokensView hidden_states{};
  TokensView router_logits{};             ///< [T, E]
  MatrixView<float> chosen_weights{};     ///< [T, k] receives the weights; may be empty
  MatrixView<std::int32_t> chosen_ids{};  ///< [T, k] receives the ids; may be empty
};

/// What a batched experts class is given: row e * max_tokens + i is token i of local expert e.
struct BatchedArguments {
  MutableTokensView out{};     ///< [E_local * max_tokens, H]: not weighted; rows beyond a count untouched
  TokensView hidden_states{};  ///< [E_local * max_tokens, H]
  std::span<const std::int32_t> expert_num_tokens{};  ///< [E_local], each at most max_tokens
  std::int64_t max_tokens = 0;
};

}  // namespace polymoe
