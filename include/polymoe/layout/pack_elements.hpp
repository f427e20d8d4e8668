// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "polymoe/config/view.hpp"
#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// What codecs share whose records are elements, not codes that are unpacked.

namespace polymoe::inline POLYMOE_ISA::layout {

namespace detail {

/// From lines of T to a K step's tiles. Row r of a tile holds word r of 16 columns: the word's bits and those of the
/// column within its half change places. Words are of 4 bytes, ...
inline constexpr BitOrder<11> word_order{0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 10};
/// ... or of 2, in half a line.
inline constexpr BitOrder<10> half_word_order{0, 6, 7, 8, 9, 1, 2, 3, 4, 10};

/// A line of each column from column `first` of the matrix on. Codes of int8, and numbers that the checkpoint has in the
/// same type, stay as they are; others are rounded where they must be.
template <class T>
void read_elements(PanelLines& lines, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t first) {
  constexpr auto bytes = static_cast<std::int64_t>(sizeof(T));
  if constexpr (!std::same_as<T, std::int8_t>) {
    if (!matrix.key.is_none() || matrix.tensors.weight.dtype != dtype_of<T>::value) {
      const std::int64_t present = std::min(matrix.columns - first, line_bytes / bytes) * bytes;
      return read_lines(lines, rows, present, std::byte{0}, [&](std::int64_t row, std::int64_t count, std::byte* line) {
        float values[line_bytes / bytes];
        matrix.values(row, first, count / bytes, values);
        for (std::int64_t i = 0; i < count / bytes; ++i) store_element(line, i, T(values[i]));
      });
    }
  }
  layout::read_lines(lines, matrix.stored_codes(), rows, first * bytes, std::byte{0});
}

}  // namespace detail

/// All K steps of a panel, n elements of each column in 16 words, which a T fills or several of them.
template <class T, std::int64_t n>
void pack_elements(std::byte* tiles, const quant::WeightMatrix& matrix, const PanelRows& rows) {
  constexpr std::int64_t of_line = line_bytes / static_cast<std::int64_t>(sizeof(T));
  PanelLines lines;
  for (std::int64_t k = 0; k < matrix.columns; k += of_line) {
    detail::read_elements<T>(lines, matrix, rows, k);
    fetch_to_write<sizeof lines>(tiles);
    if constexpr (n == of_line) {
      rearrange_bytes<11, detail::word_order>(tiles, lines.data());
      tiles += sizeof lines;
    } else {
      static_assert(2 * n == of_line);
      for (std::int64_t half = 0; half < 2 && k + half * n < matrix.columns; ++half, tiles += sizeof lines / 2) {
        rearrange_bytes<10, detail::half_word_order>(tiles, lines.data() + half * (line_bytes / 2));
      }
    }
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
