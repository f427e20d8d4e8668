// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"

namespace polymoe {

/// The function between the two products (numerics.md, section 2). `runtime`: the QuantConfig brings it along.
enum class Activation : std::uint8_t {
  silu,
  gelu,
  gelu_tanh,
  swigluoai,
  swiglustep,
  silu_no_mul,
  gelu_no_mul,
  gelu_tanh_no_mul,
  relu2_no_mul,
  relu2,  ///< gated relu^2: a name of vLLM's configs; no CPU backend computes it
  runtime
};

namespace detail {

struct ActivationRow {
  Activation value;
  std::string_view name;
  bool gated;
};

inline constexpr std::array<ActivationRow, 10> activation_table{{
    {Activation::silu, "silu", true},
    {Activation::gelu, "gelu", true},
    {Activation::gelu_tanh, "gelu_tanh", true},
    {Activation::swigluoai, "swigluoai", true},
    {Activation::swiglustep, "swiglustep", true},
    {Activation::silu_no_mul, "silu_no_mul", false},
    {Activation::gelu_no_mul, "gelu_no_mul", false},
    {Activation::gelu_tanh_no_mul, "gelu_tanh_no_mul", false},
    {Activation::relu2_no_mul, "relu2_no_mul", false},
    {Activation::relu2, "relu2", true},
}};

}  // namespace detail

constexpr std::string_view name(Activation activation) {
  return activation == Activation::runtime ? "runtime" : detail::row_of(detail::activation_table, activation).name;
}

constexpr std::optional<Activation> activation_from_name(std::string_view text) {
  return detail::value_from_name<Activation>(detail::activation_table, text);
}

/// True where W13 holds gate and up rows ([E, 2I, H]), false where it holds w1 alone ([E, I, H]).
constexpr bool is_gated(Activation activation) {
  return detail::row_of(detail::activation_table, activation).gated;
}

/// Numbers that an activation takes beside its operands.
struct ActivationParameters {
  float alpha = 1.702F;    ///< swigluoai
  float limit = 0.0F;      ///< L; only read where has_limit
  bool has_limit = false;  ///< silu clamps only on request; swigluoai and swiglustep default to L = 7

  bool operator==(const ActivationParameters&) const = default;
};

/// The limit L that `activation` uses: what was given, else the default of numerics.md, else none (infinity).
constexpr float effective_limit(Activation activation, const ActivationParameters& parameters) {
  if (parameters.has_limit) return parameters.limit;
  const bool has_default = activation == Activation::swigluoai || activation == Activation::swiglustep;
  return has_default ? 7.0F : __builtin_inff();
}

}  // namespace polymoe
