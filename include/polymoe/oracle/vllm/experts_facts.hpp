// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/oracle/foreign_experts.hpp"
#include "polymoe/oracle/support.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/target.hpp"

/// vLLM's experts classes as facts: what each accepts. The launchers are the engine's (see docs/selection.md).
namespace polymoe::oracle::vllm {

/// A set of activations.
struct ActivationSet {
  std::uint32_t bits = 0;

  template <class... A>
  static constexpr ActivationSet of(A... activations) {
    return {((std::uint32_t{1} << static_cast<unsigned>(activations)) | ... | std::uint32_t{0})};
  }

  constexpr bool has(Activation activation) const { return ((bits >> static_cast<unsigned>(activation)) & 1U) != 0; }
  constexpr ActivationSet without(Activation activation) const {
    return {bits & ~(std::uint32_t{1} << static_cast<unsigned>(activation))};
  }
  constexpr ActivationSet both(ActivationSet other) const { return {bits & other.bits}; }
};

/// Everything but the gated relu^2, which no kernel has.
inline constexpr ActivationSet every_activation = ActivationSet::of(
    Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::swigluoai, Activation::swiglustep,
    Activation::silu_no_mul, Activation::gelu_no_mul, Activation::gelu_tanh_no_mul, Activation::relu2_no_mul);

/// A set of routing methods.
struct RoutingSet {
  std::uint32_t bits = ~std::uint32_t{0};

  template <class... R>
  static constexpr RoutingSet of(R... methods) {
    return {((std::uint32_t{1} << static_cast<unsigned>(methods)) | ... | std::uint32_t{0})};
  }

  constexpr bool has(RoutingMethod method) const { return ((bits >> static_cast<unsigned>(method)) & 1U) != 0; }
};

inline constexpr RoutingSet any_routing{};
inline constexpr RoutingSet renormalizing =
    RoutingSet::of(RoutingMethod::renormalize, RoutingMethod::renormalize_naive);

/// What one experts class accepts. The members stand in the order in which they are asked.
struct ExpertsFacts {
  std::string_view name{};
  bool is_monolithic = false;
  ActivationFormat activation_format = ActivationFormat::standard;

  bool (*runs_on)(const Target&) = nullptr;
  bool takes_no_act_and_mul = false;  ///< layers without a gate
  ActivationSet activations{};
  bool (*takes_keys)(const QuantKeys&, const Target&) = nullptr;
  bool (*takes_parallel)(const ParallelConfig&) = nullptr;  ///< null: any
  RoutingSet (*routes)(const QuantKeys&) = nullptr;         ///< null: any; read for monolithic classes
  DType router_logits_dtype = DType::runtime;               ///< runtime: any
  std::int64_t hidden_size_multiple = 1;
  bool is_batch_invariant = false;
  bool has_lora = false;

  bool takes_expert_map = false;
  bool (*expects_unquantized_inputs)(const FusedMoEConfig&, const QuantKeys&) = nullptr;  ///< null: no

  /// The reason given on a device that the class does not know.
  const char* device_refusal = "kernel does not support current device";
};

namespace detail {

/// vLLM cannot print these two keys: the refusal itself raises.
constexpr bool is_unprintable(const QuantKey& key) {
  return key == quant_key::int4_static_group || key == quant_key::int8_static_group;
}

constexpr Support takes_keys(bool taken, const QuantKeys& keys) {
  Support support = require(taken, "kernel does not support quantization scheme");
  if (!taken && (is_unprintable(keys.weight) || is_unprintable(keys.activation))) {
    support = {"the quantization key has no printable element type", FailureKind::key_error};
  }
  return support;
}

}  // namespace detail

/// vLLM's is_supported_config: the first thing that a class cannot do.
constexpr Support supports(const ExpertsFacts& facts, const FusedMoEConfig& config, const QuantKeys& keys,
                           const Target& target) {
  const ParallelConfig& parallel = config.parallel;
  const bool logits_fit = facts.router_logits_dtype == DType::runtime || config.router_logits_dtype == DType::runtime ||
                          facts.router_logits_dtype == config.router_logits_dtype;
  return first_refusal(
      require(facts.runs_on(target), facts.device_refusal),
      require(config.act_and_mul() || facts.takes_no_act_and_mul, "kernel does not support no act_and_mul MLP layer"),
      require(facts.activations.has(config.activation), "kernel does not support the activation"),
      detail::takes_keys(facts.takes_keys(keys, target), keys),
      require(facts.takes_parallel == nullptr || facts.takes_parallel(parallel),
              "kernel does not support the parallel config"),
      require(facts.routes == nullptr || facts.routes(keys).has(config.routing),
              "kernel does not support the routing method"),
      require(logits_fit, "kernel does not support the router logits dtype"),
      require(config.hidden_size.is_multiple_of(facts.hidden_size_multiple), "kernel does not support the hidden size"),
      require(facts.activation_format == config.activation_format(), "kernel does not support the activation format"),
      require(facts.is_batch_invariant || !value_or(target.environment.batch_invariant, false),
              "kernel does not support batch invariance"),
      require(facts.has_lora || !config.is_lora_enabled, "kernel does not support LoRA"));
}

/// An experts class of vLLM in the service of a backend: what the selection engine asks.
template <class Backend, class Class>
struct On {
  using backend = Backend;
  using experts_class = Class;

  /// The engine's launcher (docs/selection.md, Binding). `Self` keeps the question open until it is asked, so that a
  /// binding may come after this header.
  template <FusedMoEConfig config, quant::Scheme Scheme, class Self = On>
  using experts = typename foreign_experts<Self>::template experts<config, Scheme>;

  static constexpr bool is_foreign = true;

  /// The class quantizes activations itself, so prepare must not.
  static constexpr bool expects_unquantized_inputs(const FusedMoEConfig& config, const QuantKeys& keys) {
    return Class::facts.expects_unquantized_inputs != nullptr && Class::facts.expects_unquantized_inputs(config, keys);
  }

  /// The machine that the launcher runs on, as the engine says.
  static Target target() { return foreign_experts<On>::target(); }

  static constexpr bool is_monolithic = Class::facts.is_monolithic;
  static constexpr ActivationFormat activation_format = Class::facts.activation_format;
  static constexpr std::string_view name() { return Class::facts.name; }

  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    if constexpr (requires { Class::supports(config, keys, target); }) {
      return Class::supports(config, keys, target);
    } else {
      return vllm::supports(Class::facts, config, keys, target);
    }
  }
};

/// A platform where the layer's own code computes: there is a backend, and no experts class.
template <class Backend>
struct WithoutExperts {
  using backend = Backend;

  static constexpr bool is_foreign = true;

  static constexpr bool is_monolithic = false;
  static constexpr ActivationFormat activation_format = ActivationFormat::standard;
  static constexpr std::string_view name() { return ""; }
  static constexpr Support supports(const FusedMoEConfig&, const QuantKeys&, const Target&) { return {}; }
};

}  // namespace polymoe::oracle::vllm
