// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "polymoe/config/quant_key.hpp"

namespace polymoe::quant {

/// The oracle that is asked about a scheme.
enum class Family : std::uint8_t { unquantized, fp8, mxfp8, mxfp4, nvfp4, int8, int_wna16 };

/// A scheme says, as a type, what the checkpoint holds and how the layer computes with it.
template <class S>
concept Scheme = requires {
  { S::family } -> std::convertible_to<Family>;
  { S::keys } -> std::convertible_to<QuantKeys>;
  { S::group_size } -> std::convertible_to<std::int32_t>;
  { S::name() } -> std::convertible_to<std::string_view>;
};

/// Weights as bf16, fp16 or fp32, and activations as they come.
struct Unquantized {
  static constexpr Family family = Family::unquantized;
  static constexpr QuantKeys keys{};
  static constexpr std::int32_t group_size = 0;
  static constexpr std::string_view name() { return "unquantized"; }
};

static_assert(Scheme<Unquantized>);

}  // namespace polymoe::quant
