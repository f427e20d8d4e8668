// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

namespace detail {

/// From lines of elements of 2^log_bytes bytes to [element][column].
template <std::size_t log_bytes>
inline constexpr BitOrder<11> transposed_lines = [] {
  BitOrder<11> order{};
  for (std::size_t j = 0; j < order.size(); ++j) {
    const std::size_t bit = j < log_bytes ? j : j < log_bytes + 5 ? 6 + (j - log_bytes) : j - 5;
    order[j] = static_cast<std::uint8_t>(bit);
  }
  return order;
}();

}  // namespace detail

/// What a panel's columns have for each group along K, scales or zero points, group by group, while a checkpoint keeps
/// them row by row: a line of each row is read and transposed when the first of its groups is asked for. Columns that
/// are not there have zeros.
class PanelGroups {
 public:
  /// A stored row is for `rows_together` rows of the matrix.
  PanelGroups(const quant::StoredRows& stored, const PanelRows& rows, std::int64_t rows_together = 1) noexcept
      : stored_(stored), rows_(rows) {
    if (rows_together == 1) return;
    for (std::int64_t& row : rows_) row = row < 0 ? row : row / rows_together;
  }

  /// [32] elements of a group.
  [[gnu::always_inline]] const std::byte* of(std::int64_t group) noexcept {
    const std::int64_t byte = group * stored_.unit_bytes;
    const std::int64_t line = byte / line_bytes * line_bytes;
    if (line != line_) read(line);
    return groups_.data() + (byte - line) * panel_columns;
  }

 private:
  [[gnu::noinline]] void read(std::int64_t line) noexcept {
    PanelLines lines;
    read_lines(lines, stored_, rows_, line, std::byte{0});
    line_ = line;
    switch (stored_.unit_bytes) {
      case 1: return rearrange_bytes<11, detail::transposed_lines<0>>(groups_.data(), lines.data());
      case 2: return rearrange_bytes<11, detail::transposed_lines<1>>(groups_.data(), lines.data());
      default: return rearrange_bytes<11, detail::transposed_lines<2>>(groups_.data(), lines.data());
    }
  }

  quant::StoredRows stored_;
  PanelRows rows_;
  std::int64_t line_ = -1;
  PanelLines groups_;
};

}  // namespace polymoe::inline POLYMOE_ISA::layout
