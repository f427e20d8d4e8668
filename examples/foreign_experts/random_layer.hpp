// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "polymoe/numeric/bf16.hpp"
#include "polymoe/quant/checkpoint.hpp"

namespace example {

/// bf16 numbers, normally distributed.
inline std::vector<polymoe::bf16> random_numbers(std::int64_t count) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal(0.0F, 0.1F);
  std::vector<polymoe::bf16> values(static_cast<std::size_t>(count));
  for (polymoe::bf16& value : values) value = polymoe::bf16(normal(random));
  return values;
}

/// A small layer of random bf16 weights with a batch of tokens and their experts.
struct RandomLayer {
  static constexpr std::int64_t num_experts = 8;
  static constexpr std::int64_t top_k = 2;
  static constexpr std::int64_t hidden_size = 256;
  static constexpr std::int64_t intermediate_size = 128;
  static constexpr std::int64_t tokens = 5;

  std::vector<polymoe::bf16> w13 = random_numbers(num_experts * 2 * intermediate_size * hidden_size);
  std::vector<polymoe::bf16> w2 = random_numbers(num_experts * hidden_size * intermediate_size);
  std::vector<polymoe::bf16> hidden_states = random_numbers(tokens * hidden_size);
  std::vector<float> topk_weights = std::vector<float>(tokens * top_k, 0.5F);
  std::vector<std::int32_t> topk_ids{0, 3, 1, 2, 7, 4, 5, 6, 3, 0};

  polymoe::MoECheckpoint checkpoint() const {
    return {.w13 = {.weight = polymoe::tensor_view(w13.data(), {num_experts, 2 * intermediate_size, hidden_size})},
            .w2 = {.weight = polymoe::tensor_view(w2.data(), {num_experts, hidden_size, intermediate_size})}};
  }
};

}  // namespace example
