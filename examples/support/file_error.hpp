// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

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
  const auto escape = [&](unsigned char byte) {
    line += "\\x";
    line += digits[byte >> 4];
    line += digits[byte & 15];
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (line.size() >= limit) return line + "...";
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    // U+0080 to U+009F hold a line break (U+0085); U+2028 and U+2029 are others.
    const bool c1_control = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    const bool separator = byte == 0xE2 && text.substr(i, 2) == "\xE2\x80" && text.size() > i + 2 &&
                           (text[i + 2] == '\xA8' || text[i + 2] == '\xA9');
    if (byte < 0x20 || byte == 0x7F || c1_control || separator) {
      escape(byte);
    } else {
      line += text[i];
    }
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
