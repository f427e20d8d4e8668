// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/config/view.hpp"
#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// What codecs share whose records are elements, not codes that are unpacked.

namespace polymoe::inline POLYMOE_ISA::layout {

namespace detail {

/// Bits of an index of a byte in lines of 16 words for 32 columns. Row r of a tile holds word r of 16 columns: the
/// word's bits and those of the column within its half change places. Words are of 4 bytes, ...
inline constexpr BitOrder<11> word_order{0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 10};
/// ... or of 2.
inline constexpr BitOrder<10> half_word_order{0, 5, 6, 7, 8, 1, 2, 3, 4, 9};

/// The first `count` <= n elements of a line: weights of a row from column k on. Codes of int8, and numbers that the
/// checkpoint has in the same type, stay as they are; others are rounded where they must be.
template <class T, std::size_t n>
[[gnu::always_inline]] inline void read_elements(T (&line)[n], const quant::WeightMatrix& matrix, std::int64_t row,
                                                 std::int64_t k, std::int64_t count) {
  if constexpr (std::same_as<T, std::int8_t>) {
    matrix.codes(row, k, count, reinterpret_cast<std::uint8_t*>(line));
  } else {
    const TensorView& weight = matrix.tensors.weight;
    if (matrix.key.is_none() && weight.dtype == dtype_of<T>::value) {
      const std::int64_t index = row * matrix.columns + k;
      std::memcpy(line, weight.data + index * static_cast<std::int64_t>(sizeof(T)),
                  static_cast<std::size_t>(count) * sizeof(T));
      return;
    }
    float values[n];
    matrix.values(row, k, count, values);
    for (std::int64_t i = 0; i < count; ++i) line[i] = T(values[i]);
  }
}

}  // namespace detail

/// A K step's tiles, n elements of each column from k on: 16 words, which a T fills or several of them.
template <class T, std::int64_t n>
void pack_elements(std::byte* tiles, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k) {
  const std::int64_t count = std::min(n, matrix.columns - k);
  alignas(64) T lines[panel_columns][n];
  for (std::size_t column = 0; column < rows.size(); ++column) {
    const std::int64_t row = rows[column];
    if (row >= 0 && count == n) {
      detail::read_elements(lines[column], matrix, row, k, n);
      continue;
    }
    std::fill_n(lines[column], n, T{});
    if (row >= 0) detail::read_elements(lines[column], matrix, row, k, count);
  }
  const auto* const bytes = reinterpret_cast<const std::byte*>(lines);
  if constexpr (sizeof lines == std::size_t{1} << 11) {
    rearrange_bytes<11, detail::word_order>(tiles, bytes);
  } else {
    static_assert(sizeof lines == std::size_t{1} << 10);
    rearrange_bytes<10, detail::half_word_order>(tiles, bytes);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
