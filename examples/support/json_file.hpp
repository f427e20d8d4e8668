// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/safetensors_reader.hpp"

namespace polymoe::tools {

/// The text of a file of at most `limit` bytes. Raises InputError.
inline std::string read_text(const std::string& path, std::int64_t limit = std::int64_t{1} << 30) {
  const detail::OpenFile file(path);
  if (file.size() > limit) {
    refuse(path, "file", std::to_string(file.size()) + " bytes", "at most " + std::to_string(limit));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(reinterpret_cast<std::byte*>(text.data()), file.size(), 0);
  return text;
}

/// A JSON file as a document. Raises InputError where it cannot be read, is no JSON, or has a key twice in one object.
inline nlohmann::json read_json(const std::string& path) {
  using nlohmann::json;
  const std::string text = read_text(path, max_header_bytes);
  if (text.find('\0') != std::string::npos) refuse(path, "file", "a zero byte", "valid JSON in UTF-8");
  std::vector<std::unordered_set<std::string>> keys;
  const auto no_duplicates = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      refuse(path, parsed.get<std::string>(), "the key twice in one JSON object", "it once");
    }
    return true;
  };
  json document = json::parse(text, no_duplicates, false);
  if (document.is_discarded()) refuse(path, "file", "invalid JSON", "valid JSON in UTF-8");
  return document;
}

}  // namespace polymoe::tools
