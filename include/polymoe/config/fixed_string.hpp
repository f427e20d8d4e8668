// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <string_view>

namespace polymoe {

/// A string literal as a template argument: `map_backend<"amx_bf16">`.
template <std::size_t N>
struct FixedString {
  char characters[N + 1]{};

  constexpr FixedString(const char (&literal)[N + 1]) : FixedString(std::string_view(literal, N)) {}  // NOLINT
  constexpr explicit FixedString(std::string_view text) {
    for (std::size_t i = 0; i < N; ++i) characters[i] = text[i];
  }

  constexpr std::string_view view() const { return {characters, N}; }
  bool operator==(const FixedString&) const = default;
};

template <std::size_t M>
FixedString(const char (&)[M]) -> FixedString<M - 1>;

}  // namespace polymoe
