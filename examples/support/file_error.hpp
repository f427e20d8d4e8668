// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "polymoe/config/error.hpp"

namespace polymoe::tools {

/// A file or a command line that cannot be used as it is. The message is one whole line: "FILE: SUBJECT: found WHAT,
/// expected WHAT". A tool prints it and ends with exit code 2.
class InputError : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be written: exit code 1.
class OutputError : public Error {
 public:
  using Error::Error;
};

/// `text` as it may stand in a one-line message: control characters and line separators are escaped, and what exceeds
/// `limit` bytes is cut off. Names in files are chosen by strangers.
inline std::string one_line(std::string_view text, std::size_t limit = 160) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string line;
  while (!text.empty()) {
    if (line.size() >= limit) return line + "...";
    std::size_t escaped = 0;
    const auto first = static_cast<unsigned char>(text[0]);
    if (first < 0x20 || first == 0x7F) escaped = 1;
    // U+0080 to U+009F hold a line break (U+0085); U+2028 and U+2029 are others.
    if (text.size() > 1 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) escaped = 2;
    if (text.starts_with("\xE2\x80\xA8") || text.starts_with("\xE2\x80\xA9")) escaped = 3;
    for (const char c : text.substr(0, escaped)) {
      const auto byte = static_cast<unsigned char>(c);
      line += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
    if (escaped == 0) line += text[0];
    text.remove_prefix(std::max<std::size_t>(escaped, 1));
  }
  return line;
}

inline std::string in_quotes(std::string_view text) {
  return "'" + one_line(text) + "'";
}

/// "[4, 32, 16]"
inline std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 80) return text + ", ...]";
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

/// Raises an InputError "PATH: SUBJECT: found FOUND, expected EXPECTED".
[[noreturn]] inline void refuse(std::string_view path, std::string_view subject, std::string_view found,
                                std::string_view expected) {
  raise<InputError>(one_line(path, 4096) + ": " + one_line(subject) + ": found " + one_line(found, 400) +
                    ", expected " + one_line(expected, 400));
}

}  // namespace polymoe::tools
