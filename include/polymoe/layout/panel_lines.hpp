// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/layout/panels.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Packing reads what a panel's rows hold 64 bytes at a time, a cache line of each: then they stand together in L1, those
// that the checkpoint lacks too, and what follows need not ask where they came from.

namespace polymoe::inline POLYMOE_ISA::layout {

inline constexpr std::int64_t line_bytes = 64;
/// How far ahead of what is read rows are fetched: 32 of them are more streams than prefetchers follow. Layers are packed
/// 5 to 20 % faster, with 128 bytes as with 512.
inline constexpr std::int64_t prefetched_bytes = 256;

/// How far ahead of what is written lines are fetched, which a store would wait for: up to a fifth faster.
inline constexpr std::int64_t written_ahead = 4096;

/// Lines of `bytes` bytes that are written `written_ahead` later than those at `to`.
template <std::int64_t bytes>
[[gnu::always_inline]] inline void fetch_to_write(std::byte* to) noexcept {
  for (std::int64_t i = 0; i < bytes; i += line_bytes) __builtin_prefetch(to + written_ahead + i, 1);
}

/// 64 bytes of each column of a panel.
struct alignas(line_bytes) PanelLines {
  std::byte of_column[panel_columns][line_bytes];

  std::byte* data() noexcept { return of_column[0]; }
  const std::byte* data() const noexcept { return of_column[0]; }

  /// word = f(word) for all bytes, eight at a time.
  template <class F>
  [[gnu::always_inline]] void change(F f) noexcept {
    std::byte* const bytes = data();
    for (std::size_t i = 0; i < sizeof *this; i += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, bytes + i, sizeof word);
      word = f(word);
      std::memcpy(bytes + i, &word, sizeof word);
    }
  }
};

/// The same byte in all of a word.
constexpr std::uint64_t each_byte(std::uint8_t byte) noexcept {
  return 0x0101010101010101U * byte;
}

namespace detail {

/// At most 64 bytes, without a call where their number is no constant.
[[gnu::always_inline]] inline void copy_to_line(std::byte* line, const std::byte* from, std::int64_t bytes) noexcept {
  if (bytes == line_bytes) {
    std::memcpy(line, from, line_bytes);
    return;
  }
#pragma GCC unroll 8
  for (std::int64_t piece = line_bytes / 2; piece > 0; piece /= 2) {
    if ((bytes & piece) == 0) continue;
    std::memcpy(line, from, static_cast<std::size_t>(piece));
    line += piece;
    from += piece;
  }
}

/// read(row, count, line) for the first `count` bytes of each line; the others, and columns without a row, are `none`.
template <class Read>
[[gnu::always_inline]] inline void read_lines(PanelLines& lines, const PanelRows& rows, std::int64_t count,
                                              std::byte none, Read read) noexcept {
  for (std::size_t column = 0; column < rows.size(); ++column) {
    std::byte* const line = lines.of_column[column];
    if (rows[column] >= 0 && count == line_bytes) {
      read(rows[column], line_bytes, line);
      continue;
    }
    std::fill_n(line, line_bytes, none);
    if (rows[column] >= 0) read(rows[column], count, line);
  }
}

}  // namespace detail

/// Bytes [first, first + 64) of stored rows; `none` where there are none.
inline void read_lines(PanelLines& lines, const quant::StoredRows& stored, const PanelRows& rows, std::int64_t first,
                       std::byte none) noexcept {
  const std::int64_t count = std::clamp<std::int64_t>(stored.row_bytes - first, 0, line_bytes);
  if (stored.are_runs()) {
    detail::read_lines(lines, rows, count, none, [&](std::int64_t row, std::int64_t bytes, std::byte* line) {
      const std::byte* const from = stored.row(row) + first;
      // Nothing was fetched before the beginning of a row.
      for (std::int64_t ahead = first == 0 ? line_bytes : prefetched_bytes; ahead <= prefetched_bytes;
           ahead += line_bytes) {
        __builtin_prefetch(from + ahead);
      }
      detail::copy_to_line(line, from, bytes);
    });
  } else {
    detail::read_lines(lines, rows, count, none, [&](std::int64_t row, std::int64_t bytes, std::byte* line) {
      stored.read(row, first, bytes, line);
    });
  }
}

/// The codes of K [k, k + 64) of 8 bits, or [k, k + 128) of 4 bits, as StoredRows has them.
inline void read_codes(PanelLines& lines, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k,
                       std::byte none) noexcept {
  const quant::StoredRows stored = matrix.stored_codes();
  const std::int64_t first = k * stored.row_bytes / matrix.columns;
  if (matrix.has_stored_codes()) return read_lines(lines, stored, rows, first, none);
  const std::int64_t count = std::clamp<std::int64_t>(stored.row_bytes - first, 0, line_bytes);
  detail::read_lines(lines, rows, count, none, [&](std::int64_t row, std::int64_t bytes, std::byte* line) {
    std::uint8_t codes[2 * line_bytes];
    matrix.codes(row, k, 2 * bytes, codes);
    for (std::int64_t i = 0; i < bytes; ++i) line[i] = static_cast<std::byte>(codes[2 * i] | codes[2 * i + 1] << 4);
  });
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
