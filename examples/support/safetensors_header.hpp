// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>
#include <vector>

#include "examples/support/file_error.hpp"
#include "polymoe/config/dtype.hpp"

// A safetensors file is: 8 bytes, the little-endian length N of the header; N bytes of JSON; the data.
// The header maps each tensor's name to {"dtype", "shape", "data_offsets"} and may hold {"__metadata__": {string:
// string}}. The data of all tensors lie side by side, without overlap, hole or rest.

namespace polymoe::tools {

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

/// The length that the format's own implementation accepts.
inline constexpr std::uint64_t max_header_bytes = 100'000'000;

/// An element type of the format; `dtype` is empty where polymoe does not use it.
struct StoredType {
  std::string_view name;
  std::int64_t size;  ///< bytes
  std::optional<DType> dtype;
};

inline constexpr std::array<StoredType, 16> stored_types{{
    {"F32", 4, DType::f32},
    {"BF16", 2, DType::bf16},
    {"F16", 2, DType::f16},
    {"F8_E4M3", 1, DType::f8_e4m3},
    {"I8", 1, DType::i8},
    {"U8", 1, DType::u8},
    {"I32", 4, DType::i32},
    {"F8_E8M0", 1, DType::e8m0},
    {"BOOL", 1, std::nullopt},
    {"F8_E5M2", 1, std::nullopt},
    {"I16", 2, std::nullopt},
    {"U16", 2, std::nullopt},
    {"U32", 4, std::nullopt},
    {"F64", 8, std::nullopt},
    {"I64", 8, std::nullopt},
    {"U64", 8, std::nullopt},
}};

/// One entry of a header.
struct StoredTensor {
  std::string name;
  StoredType type{};
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  ///< bytes from the begin of the data
  std::int64_t end = 0;

  std::int64_t bytes() const { return end - begin; }
};

/// A checked header: tensors in the order of the file's header, metadata likewise.
struct SafetensorsHeader {
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<StoredTensor> tensors;
};

namespace detail {

/// A list of naturals as the JSON text gave it.
struct ParsedList {
  bool present = false;
  bool valid = true;  ///< a list, of integers from 0 to 2^63 - 1
  std::vector<std::int64_t> values;
  std::string text;  ///< the beginning, for messages
};

/// An entry of the header's object as the JSON text gave it.
struct ParsedEntry {
  std::string name;
  bool is_object = false;
  bool has_other_keys = false;
  std::string keys;  ///< for messages
  std::optional<std::string> dtype;
  std::string dtype_kind;  ///< what stands there when it is not a string
  ParsedList shape;
  ParsedList offsets;
};

/// Receives the JSON text piece by piece. nlohmann's document would keep the last of two equal keys and lose the order;
/// here a key that comes twice ends the reading, and nothing is stored that a header does not need.
class HeaderReceiver {
 public:
  explicit HeaderReceiver(std::string_view path) : path_(path) {}

  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<ParsedEntry> entries;

  bool null() { return scalar("null", "null"); }
  bool boolean(bool value) { return scalar("a boolean", value ? "true" : "false"); }
  bool number_integer(std::int64_t value) { return integer(value >= 0, value, std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) {
    return integer(value <= INT64_MAX, static_cast<std::int64_t>(value & INT64_MAX), std::to_string(value));
  }
  bool number_float(double, const std::string& text) { return scalar("a number", text); }
  bool binary(const std::vector<std::uint8_t>&) { return scalar("binary data", "binary data"); }

  bool string(std::string& text) {
    if (scopes_.size() == 2 && in_metadata_) {
      metadata.emplace_back(key_, std::move(text));
      return true;
    }
    if (scopes_.size() == 2 && key_ == "dtype") {
      entries.back().dtype = std::move(text);
      return true;
    }
    return scalar("a string", in_quotes(text));
  }

  bool start_object(std::size_t) {
    if (scopes_.size() == 1) {
      if (!in_metadata_) entries.back().is_object = true;
    } else if (!scopes_.empty()) {
      scalar("an object", "{...}");
    }
    return open(true);
  }

  bool key(std::string& text) {
    if (!scopes_.back().keys.insert(text).second) refuse(path_, text, "the key twice in one JSON object", "it once");
    if (scopes_.size() == 1) {
      in_metadata_ = text == "__metadata__";
      if (!in_metadata_) entries.emplace_back().name = text;
    }
    if (scopes_.size() == 2) {
      key_ = text;
      if (!in_metadata_) {
        ParsedEntry& entry = entries.back();
        if (entry.keys.size() < 80) entry.keys += (entry.keys.empty() ? "" : ", ") + text;
        if (text != "dtype" && text != "shape" && text != "data_offsets") entry.has_other_keys = true;
      }
    }
    return true;
  }

  bool end_object() { return close(); }

  bool start_array(std::size_t) {
    if (scopes_.size() == 2 && list() != nullptr) {
      list()->present = true;
      list()->text = "[";
    } else if (!scopes_.empty()) {
      scalar("an array", "[...]");
    }
    return open(false);
  }

  bool end_array() {
    if (scopes_.size() == 3 && list() != nullptr) list()->text += "]";
    return close();
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
    // 406: a number that no double holds. It stands in an entry, so that is what is wrong.
    if (error.id == 406 && !entries.empty())
      refuse(path_, entries.back().name, "a number beyond all bounds", "integers");
    std::string_view what = error.what();
    if (const auto bracket = what.find("] "); bracket != std::string_view::npos) what.remove_prefix(bracket + 2);
    what = what.substr(0, what.find(';'));
    refuse(path_, "header", "invalid JSON at byte " + std::to_string(position) + " (" + std::string(what) + ")",
           "valid JSON in UTF-8");
  }

 private:
  struct Scope {
    bool is_object;
    std::unordered_set<std::string> keys;
  };

  // Deeper than any header goes, and shallow enough that nobody can fill the memory with open scopes.
  static constexpr std::size_t max_depth = 500;

  bool open(bool is_object) {
    if (scopes_.size() >= max_depth) refuse(path_, "header", "JSON nested deeper than 500 levels", "three levels");
    scopes_.push_back({is_object, {}});
    return true;
  }

  bool close() {
    scopes_.pop_back();
    return true;
  }

  ParsedList* list() {
    if (in_metadata_ || entries.empty()) return nullptr;
    if (key_ == "shape") return &entries.back().shape;
    return key_ == "data_offsets" ? &entries.back().offsets : nullptr;
  }

  static void append(ParsedList& into, const std::string& text) {
    if (into.text.size() > 80) return;
    into.text += (into.text.size() > 1 ? ", " : "") + text;
  }

  bool integer(bool valid, std::int64_t value, const std::string& text) {
    if (scopes_.size() == 3 && !scopes_.back().is_object && list() != nullptr && valid) {
      list()->values.push_back(value);
      append(*list(), text);
      return true;
    }
    return scalar("a number", text);
  }

  /// Anything that stands where it does not belong; what belongs has been taken before.
  bool scalar(std::string_view kind, const std::string& text) {
    if (scopes_.size() == 1 && in_metadata_) refuse(path_, "__metadata__", kind, "an object");
    if (scopes_.size() >= 2 && in_metadata_)
      refuse(path_, key_, "a metadata value that is " + std::string(kind), "a string");
    if (scopes_.size() == 1) entries.back().keys = kind;
    if (scopes_.size() == 2 && key_ == "dtype") entries.back().dtype_kind = kind;
    if (scopes_.size() >= 2 && list() != nullptr) {
      list()->present = true;
      list()->valid = false;
      append(*list(), text);
    }
    return true;
  }

  std::string_view path_;
  std::vector<Scope> scopes_;
  std::string key_;  ///< the key at depth two
  bool in_metadata_ = false;
};

/// Bytes that the tensor's shape asks for. A zero among the extents makes it empty, but whoever multiplies from the
/// left must not overflow on the way.
inline std::int64_t bytes_of_shape(std::string_view path, const StoredTensor& tensor) {
  const auto overflows = [&] {
    refuse(path, tensor.name, "shape " + shape_text(tensor.shape) + " of 2^63 bytes or more", "a size below 2^63");
  };
  std::int64_t elements = 1;
  bool is_empty = false;
  for (const std::int64_t extent : tensor.shape) {
    is_empty = is_empty || extent == 0;
    if (__builtin_mul_overflow(elements, std::max<std::int64_t>(extent, 1), &elements)) overflows();
  }
  std::int64_t bytes = 0;
  if (!is_empty && __builtin_mul_overflow(elements, tensor.type.size, &bytes)) overflows();
  return bytes;
}

inline StoredTensor checked_entry(std::string_view path, ParsedEntry&& entry, std::int64_t data_bytes) {
  constexpr std::string_view naturals = "a list of integers from 0 to 2^63 - 1";
  const bool complete = (entry.dtype || !entry.dtype_kind.empty()) && entry.shape.present && entry.offsets.present;
  if (!entry.is_object || entry.has_other_keys || !complete) {
    refuse(path, entry.name, entry.is_object ? "an entry with the keys {" + entry.keys + "}" : entry.keys,
           "an object with dtype, shape and data_offsets");
  }
  if (!entry.dtype) refuse(path, entry.name, "a dtype that is " + entry.dtype_kind, "a safetensors dtype");
  const auto type = std::find_if(stored_types.begin(), stored_types.end(),
                                 [&](const StoredType& candidate) { return candidate.name == *entry.dtype; });
  if (type == stored_types.end()) refuse(path, entry.name, "dtype " + in_quotes(*entry.dtype), "a safetensors dtype");
  if (!entry.shape.valid) refuse(path, entry.name, "shape " + entry.shape.text, naturals);
  if (!entry.offsets.valid) refuse(path, entry.name, "data_offsets " + entry.offsets.text, naturals);
  if (entry.offsets.values.size() != 2) {
    refuse(path, entry.name, std::to_string(entry.offsets.values.size()) + " data_offsets", "two");
  }
  StoredTensor tensor{std::move(entry.name), *type, std::move(entry.shape.values), entry.offsets.values[0],
                      entry.offsets.values[1]};
  const std::int64_t bytes = bytes_of_shape(path, tensor);
  if (tensor.begin > tensor.end || tensor.end > data_bytes) {
    refuse(path, tensor.name,
           "data_offsets " + entry.offsets.text + " in " + std::to_string(data_bytes) + " bytes of data",
           "offsets within the data");
  }
  if (tensor.bytes() != bytes) {
    refuse(path, tensor.name, std::to_string(tensor.bytes()) + " bytes of data",
           std::to_string(bytes) + " for " + std::string(tensor.type.name) + " " + shape_text(tensor.shape));
  }
  return tensor;
}

inline void check_coverage(std::string_view path, const std::vector<StoredTensor>& tensors, std::int64_t data_bytes) {
  std::vector<const StoredTensor*> by_offset;
  for (const StoredTensor& tensor : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return std::tie(a->begin, a->end, a->name) < std::tie(b->begin, b->end, b->name);
  });
  std::int64_t at = 0;
  for (const StoredTensor* tensor : by_offset) {
    if (tensor->begin != at) {
      refuse(path, tensor->name, "data beginning at " + std::to_string(tensor->begin),
             std::to_string(at) + " (no overlap, no hole)");
    }
    at = tensor->end;
  }
  if (at != data_bytes) {
    refuse(path, "data", std::to_string(data_bytes) + " bytes", std::to_string(at) + ", the end of the last tensor");
  }
}

}  // namespace detail

/// Checks the length that a file of `file_bytes` bytes claims for its header.
inline void check_header_length(std::string_view path, std::uint64_t header_bytes, std::uint64_t file_bytes) {
  const std::uint64_t most = std::min(max_header_bytes, file_bytes - 8);
  if (header_bytes > most) {
    refuse(path, "header",
           "a header of " + std::to_string(header_bytes) + " bytes in a file of " + std::to_string(file_bytes),
           "at most " + std::to_string(most) + " bytes");
  }
}

/// Reads and checks a header whose data section holds `data_bytes` bytes. Raises InputError.
inline SafetensorsHeader parse_safetensors_header(std::string_view path, std::string_view text,
                                                  std::int64_t data_bytes) {
  if (!text.starts_with('{')) refuse(path, "header", "the first character " + in_quotes(text.substr(0, 1)), "'{'");
  // nlohmann's lexer takes a zero byte for the end of the text, and would not see what follows.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
    refuse(path, "header", "invalid JSON (a zero byte at " + std::to_string(zero) + ")", "valid JSON in UTF-8");
  }
  detail::HeaderReceiver receiver(path);
  nlohmann::json::sax_parse(text, &receiver);
  SafetensorsHeader header;
  header.metadata = std::move(receiver.metadata);
  header.tensors.reserve(receiver.entries.size());
  for (detail::ParsedEntry& entry : receiver.entries) {
    header.tensors.push_back(detail::checked_entry(path, std::move(entry), data_bytes));
  }
  detail::check_coverage(path, header.tensors, data_bytes);
  return header;
}

}  // namespace polymoe::tools
