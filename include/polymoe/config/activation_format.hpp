// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

namespace polymoe {

/// The form in which activations reach the experts.
enum class ActivationFormat : std::uint8_t {
  standard,  ///< [T, H] with topk ids
  batched    ///< [E, max_tokens, H] with a count for each expert
};

constexpr std::string_view name(ActivationFormat format) {
  return format == ActivationFormat::standard ? "standard" : "batched";
}

}  // namespace polymoe
