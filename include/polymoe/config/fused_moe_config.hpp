// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/activation.hpp"
#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/dtype.hpp"
#include "polymoe/config/extent.hpp"
#include "polymoe/config/parallel_config.hpp"
#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/w13_layout.hpp"

namespace polymoe {

/// A choice that may be left to the checkpoint.
enum class Choice : std::uint8_t { no, yes, runtime };

/// One MoE layer, as a value that can be a template argument. Sizes and choices are static or `dynamic`; both give the
/// same bits. The number of tokens is always dynamic.
struct FusedMoEConfig {
  Extent num_experts{};        ///< E, of all ranks
  Extent top_k{};              ///< k
  Extent hidden_size{};        ///< H
  Extent intermediate_size{};  ///< I, of one partition
  Activation activation = Activation::silu;
  RoutingMethod routing = RoutingMethod::renormalize;
  W13Layout w13_layout = W13Layout::concatenated;
  DType in_dtype = DType::bf16;  ///< of hidden_states and of the output
  Choice apply_router_weight_on_input = Choice::no;
  bool expects_router_logits = false;   ///< apply() takes router logits and routes by itself: a monolithic kernel
  std::int32_t num_shared_experts = 0;  ///< dense experts that every token passes, with weight 1
  ParallelConfig parallel{};
  bool batched_activations = false;  ///< a local prepare step delivers [E, max_tokens, H]
  bool is_lora_enabled = false;

  /// The form in which activations reach the experts.
  constexpr ActivationFormat activation_format() const {
    return batched_activations ? ActivationFormat::batched : parallel.activation_format();
  }

  constexpr bool gated() const { return is_gated(activation); }

  bool operator==(const FusedMoEConfig&) const = default;
};

/// A config in which everything that can be is left to run time: what a tool uses that serves any layer.
inline constexpr FusedMoEConfig any_layer{.activation = Activation::runtime,
                                          .routing = RoutingMethod::runtime,
                                          .w13_layout = W13Layout::runtime,
                                          .in_dtype = DType::runtime,
                                          .apply_router_weight_on_input = Choice::runtime};

}  // namespace polymoe
