// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace polymoe::detail {

/// Every enumeration with names has one constexpr table of rows {value, name, ...}; these two read it.
template <class Table, class Enum>
constexpr const auto& row_of(const Table& table, Enum value) {
  for (const auto& row : table) {
    if (row.value == value) return row;
  }
  return table[0];
}

template <class Enum, class Table>
constexpr std::optional<Enum> value_from_name(const Table& table, std::string_view text) {
  for (const auto& row : table) {
    if (row.name == text) return row.value;
  }
  return std::nullopt;
}

}  // namespace polymoe::detail
