// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/config/failure_kind.hpp"

namespace polymoe {

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
