// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "polymoe/config/view.hpp"

namespace polymoe::bench {

/// Experts for the tokens of a call: top_k different ones for each token, each equally likely.
class RandomRouting {
 public:
  RandomRouting(std::int64_t tokens, std::int64_t num_experts, std::int64_t top_k)
      : tokens_(tokens),
        top_k_(top_k),
        ids_(static_cast<std::size_t>(tokens * top_k)),
        weights_(ids_.size(), 1.0F / static_cast<float>(top_k)),
        rows_(static_cast<std::size_t>(num_experts)),
        deck_(static_cast<std::size_t>(num_experts)) {
    for (std::size_t e = 0; e < deck_.size(); ++e) deck_[e] = static_cast<std::int32_t>(e);
  }

  /// Chooses anew.
  void shuffle(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::fill(rows_.begin(), rows_.end(), 0);
    for (std::int64_t t = 0; t < tokens_; ++t) {
      for (std::int64_t j = 0; j < top_k_; ++j) {
        const auto at = static_cast<std::size_t>(j);
        std::uniform_int_distribution<std::size_t> rest(at, deck_.size() - 1);
        std::swap(deck_[at], deck_[rest(random)]);
        ids_[static_cast<std::size_t>(t * top_k_ + j)] = deck_[at];
        ++rows_[static_cast<std::size_t>(deck_[at])];
      }
    }
  }

  MatrixView<const std::int32_t> topk_ids() const { return {ids_.data(), tokens_, top_k_}; }
  MatrixView<const float> topk_weights() const { return {weights_.data(), tokens_, top_k_}; }

  /// How many tokens go to each expert.
  const std::vector<std::int64_t>& rows() const { return rows_; }

  /// Experts that have a token.
  std::int64_t experts_touched() const {
    return static_cast<std::int64_t>(rows_.size()) - std::count(rows_.begin(), rows_.end(), 0);
  }

 private:
  std::int64_t tokens_;
  std::int64_t top_k_;
  std::vector<std::int32_t> ids_;
  std::vector<float> weights_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int32_t> deck_;
};

}  // namespace polymoe::bench
