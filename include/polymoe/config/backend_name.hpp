// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace polymoe {

/// The backend that a user asks for by name: "marlin", "flashinfer_trtllm", "amx_bf16". Empty, the default, leaves the
/// choice to the oracle, as "auto" does. Structural. Upper case and '-' are read as lower case and '_'.
struct BackendName {
  static constexpr std::size_t capacity = 32;

  std::array<char, capacity> characters{};

  constexpr BackendName() = default;
  constexpr BackendName(const char* text)
      : BackendName(std::string_view(text)) {}  // NOLINT(google-explicit-constructor)

  /// A name that is too long for any backend is cut and is then no backend's name.
  constexpr explicit BackendName(std::string_view text) {
    for (std::size_t i = 0; i < text.size() && i < capacity; ++i) characters[i] = normalized(text[i]);
    if (view() == "auto") characters = {};
  }

  constexpr bool is_auto() const { return characters[0] == '\0'; }

  constexpr std::string_view view() const {
    std::size_t size = 0;
    while (size < capacity && characters[size] != '\0') ++size;
    return {characters.data(), size};
  }

  bool operator==(const BackendName&) const = default;

 private:
  static constexpr char normalized(char character) {
    if (character >= 'A' && character <= 'Z') return static_cast<char>(character - 'A' + 'a');
    return character == '-' ? '_' : character;
  }
};

}  // namespace polymoe
