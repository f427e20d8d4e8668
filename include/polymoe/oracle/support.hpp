// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string_view>

namespace polymoe {

/// How a selection fails that finds nothing; the names are those of Python's exceptions, which engines know.
enum class FailureKind : std::uint8_t { none, value_error, not_implemented, key_error, module_not_found };

constexpr std::string_view name(FailureKind kind) {
  switch (kind) {
    case FailureKind::none: return "none";
    case FailureKind::value_error: return "ValueError";
    case FailureKind::not_implemented: return "NotImplementedError";
    case FailureKind::key_error: return "KeyError";
    case FailureKind::module_not_found: return "ModuleNotFoundError";
  }
  return "";
}

/// Yes, or no with a reason (a string literal).
struct Support {
  const char* refusal = nullptr;
  FailureKind raises = FailureKind::none;  ///< the question itself fails, and with it the selection

  constexpr explicit operator bool() const { return refusal == nullptr; }
  constexpr std::string_view reason() const { return refusal == nullptr ? std::string_view{} : refusal; }
};

/// Yes where `condition` holds; `refusal` says what is the matter where it does not.
constexpr Support require(bool condition, const char* refusal) {
  return {condition ? nullptr : refusal};
}

/// The first no, in the order written; yes where there is none.
template <class... Supports>
constexpr Support first_refusal(Supports... supports) {
  Support first{};
  const auto take = [&first](Support support) {
    if (first.refusal == nullptr) first = support;
  };
  (take(supports), ...);
  return first;
}

}  // namespace polymoe
