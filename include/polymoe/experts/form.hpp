// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

namespace polymoe {

/// The three ways in which an experts class is called.
enum class ExpertsForm : std::uint8_t {
  monolithic,  ///< router logits in, routed inside (MonolithicArguments)
  modular,     ///< ids and weights in (ModularArguments)
  batched      ///< [E, max_tokens, H] in and out (BatchedArguments)
};

constexpr std::string_view name(ExpertsForm form) {
  switch (form) {
    case ExpertsForm::monolithic: return "monolithic";
    case ExpertsForm::modular: return "modular";
    case ExpertsForm::batched: return "batched";
  }
  return "";
}

}  // namespace polymoe
