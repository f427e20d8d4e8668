// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"

namespace polymoe {

/// Where gate and up rows stand in a checkpoint's W13 [E, 2I, H] (numerics.md, section 1).
enum class W13Layout : std::uint8_t {
  concatenated,  ///< rows [0, I) gate, [I, 2I) up
  interleaved,   ///< row 2i gate i, row 2i+1 up i (gpt-oss)
  runtime
};

namespace detail {

struct W13LayoutRow {
  W13Layout value;
  std::string_view name;
};

inline constexpr std::array<W13LayoutRow, 3> w13_layout_table{{
    {W13Layout::concatenated, "concatenated"},
    {W13Layout::interleaved, "interleaved"},
    {W13Layout::runtime, "runtime"},
}};

}  // namespace detail

constexpr std::string_view name(W13Layout layout) {
  return detail::row_of(detail::w13_layout_table, layout).name;
}

constexpr std::optional<W13Layout> w13_layout_from_name(std::string_view text) {
  const auto layout = detail::value_from_name<W13Layout>(detail::w13_layout_table, text);
  return layout == W13Layout::runtime ? std::nullopt : layout;
}

/// The stored row of gate i (`up` = false) or up i (`up` = true) in a W13 of 2 * intermediate_size rows.
constexpr std::int64_t w13_row(W13Layout layout, std::int64_t i, bool up, std::int64_t intermediate_size) {
  if (layout == W13Layout::interleaved) return 2 * i + (up ? 1 : 0);
  return up ? intermediate_size + i : i;
}

}  // namespace polymoe
