// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

namespace polymoe {

/// How a selection fails that finds nothing; the names are those of Python's exceptions, which engines know.
enum class FailureKind : std::uint8_t {
  none,
  value_error,
  not_implemented,
  key_error,
  module_not_found,
  assertion_error,
  name_error
};

constexpr std::string_view name(FailureKind kind) {
  switch (kind) {
    case FailureKind::none: return "none";
    case FailureKind::value_error: return "ValueError";
    case FailureKind::not_implemented: return "NotImplementedError";
    case FailureKind::key_error: return "KeyError";
    case FailureKind::module_not_found: return "ModuleNotFoundError";
    case FailureKind::assertion_error: return "AssertionError";
    case FailureKind::name_error: return "NameError";
  }
  return "";
}

}  // namespace polymoe
