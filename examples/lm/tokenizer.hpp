// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polymoe::lm {

/// A token is a byte: its id is the byte's value.
using Token = std::int32_t;

inline std::vector<Token> encode(std::string_view text) {
  std::vector<Token> tokens;
  tokens.reserve(text.size());
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

inline std::string decode(std::span<const Token> tokens) {
  std::string text;
  for (const Token token : tokens) text += static_cast<char>(token);
  return text;
}

}  // namespace polymoe::lm
