// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace polymoe::test {

/// A safetensors file of any header text, right or wrong.
inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>((std::uint64_t{header.size()} >> (8 * i)) & 255);
  bytes += header;
  return bytes += data;
}

/// `text` with the first `from` replaced by `to`; "" where there is no `from`, which no test survives.
inline std::string with(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  return at == std::string::npos ? std::string() : text.replace(at, from.size(), to);
}

/// The call's InputError, or "accepted".
template <class Error, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

/// "w2_weight" of "FILE: w2_weight: found 3, expected 4".
inline std::string subject_of(const std::string& path, const std::string& message) {
  if (!message.starts_with(path + ": ")) return "no file in: " + message;
  const std::string rest = message.substr(path.size() + 2);
  const auto found = rest.find(": found ");
  if (found == std::string::npos || rest.find(", expected ", found) == std::string::npos) return "no form: " + message;
  if (rest.find('\n') != std::string::npos) return "several lines: " + message;
  return rest.substr(0, found);
}

}  // namespace polymoe::test
