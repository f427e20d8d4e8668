// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "polymoe/config/activation.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/w13_layout.hpp"

namespace polymoe::bench {

/// The MoE layer of a known model.
struct Shape {
  std::string_view name{};
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_experts = 0;
  std::int64_t top_k = 0;
  Activation activation = Activation::silu;
  W13Layout w13_layout = W13Layout::concatenated;
  bool biases = false;

  LayerShape layer() const {
    return {.num_experts = num_experts,
            .num_local_experts = num_experts,
            .top_k = top_k,
            .hidden_size = hidden_size,
            .intermediate_size = intermediate_size,
            .gated = true};
  }

  /// Of all products of `tokens` tokens.
  double flops(std::int64_t tokens) const {
    return 6.0 * static_cast<double>(tokens * top_k) * static_cast<double>(hidden_size * intermediate_size);
  }
};

/// The shapes that are measured by default, then one for trying the program out. deepseek-v3 is a quarter of its
/// layer: 64 of 256 experts, because all of them are 22 GB in bf16.
inline constexpr std::array<Shape, 5> shapes{{
    {"qwen3-30b-a3b", 2048, 768, 128, 8},
    {"mixtral-8x7b", 4096, 14336, 8, 2},
    {"gpt-oss-20b", 2880, 2880, 32, 4, Activation::swigluoai, W13Layout::interleaved, true},
    {"deepseek-v3", 7168, 2048, 64, 8},
    {"tiny", 256, 128, 16, 2},
}};
inline constexpr std::size_t num_default_shapes = 4;

}  // namespace polymoe::bench
