// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"

namespace polymoe {

/// How router logits become expert ids and weights (numerics.md, section 3).
enum class RoutingMethod : std::uint8_t {
  softmax,  ///< "default": softmax over all experts, then the k largest
  renormalize,
  renormalize_naive,
  topk,
  sigmoid_renorm,
  llama4,
  minimax2,
  deepseek_v3,
  deepseek_v4,
  grouped_softmax,
  custom,       ///< a callable of the caller
  unspecified,  ///< vLLM's name for "not one of these"
  simulated,    ///< vLLM's stand-in for measurements
  given,        ///< ids and weights arrive from outside; a modular kernel never routes
  runtime       ///< read once per call
};

namespace detail {

struct RoutingMethodRow {
  RoutingMethod value;
  std::string_view name;
};

inline constexpr std::array<RoutingMethodRow, 14> routing_method_table{{
    {RoutingMethod::softmax, "default"},
    {RoutingMethod::renormalize, "renormalize"},
    {RoutingMethod::renormalize_naive, "renormalize_naive"},
    {RoutingMethod::topk, "topk"},
    {RoutingMethod::sigmoid_renorm, "sigmoid_renorm"},
    {RoutingMethod::llama4, "llama4"},
    {RoutingMethod::minimax2, "minimax2"},
    {RoutingMethod::deepseek_v3, "deepseek_v3"},
    {RoutingMethod::deepseek_v4, "deepseek_v4"},
    {RoutingMethod::grouped_softmax, "grouped_softmax"},
    {RoutingMethod::custom, "custom"},
    {RoutingMethod::unspecified, "unspecified"},
    {RoutingMethod::simulated, "simulated"},
    {RoutingMethod::given, "given"},
}};

}  // namespace detail

constexpr std::string_view name(RoutingMethod method) {
  return method == RoutingMethod::runtime ? "runtime" : detail::row_of(detail::routing_method_table, method).name;
}

constexpr std::optional<RoutingMethod> routing_method_from_name(std::string_view text) {
  return detail::value_from_name<RoutingMethod>(detail::routing_method_table, text);
}

/// Numbers that a routing method takes beside the logits. n_group and topk_group are read by deepseek_v3 and
/// grouped_softmax only, renormalize by grouped_softmax only.
struct RoutingParameters {
  std::int32_t n_group = 1;
  std::int32_t topk_group = 1;
  float routed_scaling_factor = 1.0F;
  bool renormalize = false;

  bool operator==(const RoutingParameters&) const = default;
};

}  // namespace polymoe
