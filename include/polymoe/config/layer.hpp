// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <span>

#include "polymoe/config/activation.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/routing_method.hpp"

namespace polymoe {

/// The sizes of a layer on this rank, all known.
struct LayerShape {
  std::int64_t num_experts = 0;        ///< E, of all ranks: what ids and logits count
  std::int64_t num_local_experts = 0;  ///< experts whose weights are here, without the shared ones
  std::int64_t num_shared_experts = 0;
  std::int64_t top_k = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  bool gated = true;

  /// Experts that are packed: the local ones, then the shared ones.
  constexpr std::int64_t num_packed_experts() const { return num_local_experts + num_shared_experts; }

  /// Rows of W13: gate and up, or w1 alone.
  constexpr std::int64_t w13_rows() const { return gated ? 2 * intermediate_size : intermediate_size; }

  /// (token, expert) pairs that a token can make.
  constexpr std::int64_t slots_per_token() const { return top_k + num_shared_experts; }

  bool operator==(const LayerShape&) const = default;
};

/// What a layer brings along beside its weights: everything that a config may leave to run time. The spans are views
/// and must outlive the kernel.
struct LayerParameters {
  std::int64_t num_experts = 0;  ///< read where the config's extent is dynamic; 0: as many as the weights hold
  std::int64_t top_k = 0;        ///< likewise
  RoutingMethod routing = RoutingMethod::renormalize;
  RoutingParameters routing_parameters{};
  std::span<const float> e_score_correction_bias{};  ///< [E], or empty
  std::span<const std::int32_t> expert_map{};        ///< [E] global id -> local id or -1, or empty
  bool apply_router_weight_on_input = false;         ///< implied by routing llama4
};

}  // namespace polymoe
