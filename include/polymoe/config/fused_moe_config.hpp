// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/activation.hpp"
#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/backend_name.hpp"
#include "polymoe/config/dtype.hpp"
#include "polymoe/config/extent.hpp"
#include "polymoe/config/numerics.hpp"
#include "polymoe/config/parallel_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/w13_layout.hpp"

namespace polymoe {

/// A choice that may be left to the checkpoint.
enum class Choice : std::uint8_t { no, yes, runtime };

/// Whose order of preference decides.
enum class SelectionPolicy : std::uint8_t {
  native_first,  ///< on a CPU this library's own kernels; elsewhere as vLLM
  vllm_parity    ///< vLLM's choice on every platform
};

/// FusedMoEConfig{.selection = selection::vllm_parity}
namespace selection {
using enum SelectionPolicy;
}

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
  Choice is_act_and_mul = Choice::runtime;     ///< runtime: as the activation says
  DType router_logits_dtype = DType::runtime;  ///< runtime: whatever arrives
  BackendName moe_backend{};                   ///< what the user asks for; empty: the oracle decides
  SelectionPolicy selection = SelectionPolicy::native_first;
  bool allow_vllm_cutlass = false;  ///< the caller can use vLLM's own CUTLASS fp8 kernels
  QuantKey moe_activation{};        ///< mxfp4: the user's choice of activation quantization; none: the checkpoint's
  Numerics numerics{};              ///< numerics::Fastest{} or numerics::BatchInvariant{}

  /// The form in which activations reach the experts.
  constexpr ActivationFormat activation_format() const {
    return batched_activations ? ActivationFormat::batched : parallel.activation_format();
  }

  constexpr bool gated() const { return is_gated(activation); }

  /// Gate and up are separate operands of the activation.
  constexpr bool act_and_mul() const {
    return is_act_and_mul == Choice::runtime ? gated() : is_act_and_mul == Choice::yes;
  }

  bool operator==(const FusedMoEConfig&) const = default;
};

/// A config in which everything that can be is left to run time: what a tool uses that serves any layer.
inline constexpr FusedMoEConfig any_layer{.activation = Activation::runtime,
                                          .routing = RoutingMethod::runtime,
                                          .w13_layout = W13Layout::runtime,
                                          .in_dtype = DType::runtime,
                                          .apply_router_weight_on_input = Choice::runtime};

}  // namespace polymoe
