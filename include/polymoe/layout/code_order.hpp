// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "polymoe/config/error.hpp"
#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Codes of 8 or 4 bits stand in runs of 32 K x 32 columns: 1024 or 512 bytes, the left half of the panel before the
// right one. Within a run their order is the one in which the fewest instructions make K steps of them.

namespace polymoe::inline POLYMOE_ISA::layout {

inline constexpr std::int64_t run_k = 32;
inline constexpr std::int64_t run_codes = run_k * panel_columns;

/// Where a code comes from.
struct CodePlace {
  std::uint8_t column = 0;
  std::uint8_t k = 0;
};

/// The code at index i of a run: byte i, or nibble i with the lower nibble of a byte first.
using CodeOrder = std::array<CodePlace, static_cast<std::size_t>(run_codes)>;

/// What one run is unpacked to, in bytes: one K step of bf16, two of fp32.
template <class Element>
inline constexpr std::int64_t run_bytes = run_codes* static_cast<std::int64_t>(sizeof(Element));

/// The element of an unpacked run that belongs to (column, k): microkernel/block.hpp.
template <class Element>
constexpr std::int64_t element_place(std::int64_t column, std::int64_t k) {
  if constexpr (sizeof(Element) == 2) {
    return column / 16 * 512 + k / 2 * 32 + column % 16 * 2 + k % 2;
  } else {
    return k / 16 * 512 + column / 16 * 256 + k % 16 * 16 + column % 16;
  }
}

namespace detail {

template <class F>
constexpr CodeOrder make_order(F place_of) {
  CodeOrder order{};
  for (std::int64_t i = 0; i < run_codes; ++i) order[static_cast<std::size_t>(i)] = place_of(i);
  return order;
}

/// Word `word` of row `row` of a tile of bf16: 16 columns x 2 K.
constexpr CodePlace tile_place(std::int64_t half, std::int64_t row, std::int64_t word) {
  return {static_cast<std::uint8_t>(half * 16 + word / 2), static_cast<std::uint8_t>(row * 2 + word % 2)};
}

}  // namespace detail

namespace code_order {

/// Bytes for fp32: row by row of K, 32 columns each.
inline constexpr CodeOrder f32_bytes = detail::make_order([](std::int64_t i) {
  return CodePlace{static_cast<std::uint8_t>(i % 32), static_cast<std::uint8_t>(i / 32)};
});

/// Bytes for fp32 in pairs: of the words of a row of K the lower bytes are the left half of the columns, the upper ones
/// the right half.
inline constexpr CodeOrder f32_paired_bytes = detail::make_order([](std::int64_t i) {
  return CodePlace{static_cast<std::uint8_t>(i % 2 * 16 + i / 2 % 16), static_cast<std::uint8_t>(i / 32)};
});

/// Nibbles for fp32: four bytes are eight K of a column, the lower nibbles before the upper ones; 16 columns of them
/// follow each other, for vectors of any width.
inline constexpr CodeOrder f32_nibbles = detail::make_order([](std::int64_t i) {
  const std::int64_t byte = i / 2;
  return CodePlace{static_cast<std::uint8_t>(byte / 256 * 16 + byte / 4 % 16),
                   static_cast<std::uint8_t>(byte / 64 % 4 * 8 + i % 2 * 4 + byte % 4)};
});

/// Bytes for bf16 as the rows of tiles are.
inline constexpr CodeOrder bf16_bytes =
    detail::make_order([](std::int64_t i) { return detail::tile_place(i / 512, i % 512 / 32, i % 32); });

/// Bytes for bf16 in pairs: the even ones of 256 are four rows of a tile, the odd ones the next four.
inline constexpr CodeOrder bf16_paired_bytes = detail::make_order([](std::int64_t i) {
  return detail::tile_place(i / 512, i % 512 / 256 * 8 + i % 2 * 4 + i % 256 / 64, i % 64 / 2);
});

/// Nibbles for bf16: the lower nibbles of 64 bytes, and then the upper ones, such that interleaving their words' low
/// bytes with the high ones, 16 bytes by 16 bytes, gives two rows of a tile.
inline constexpr CodeOrder bf16_nibbles = detail::make_order([](std::int64_t i) {
  const std::int64_t byte = i % 128 / 2;
  return detail::tile_place(i / 512, i % 512 / 128 * 4 + i % 2 * 2 + byte % 16 / 8, byte / 16 * 8 + byte % 8);
});

}  // namespace code_order

/// Whether e4m3's NaN is among codes.
inline bool has_e4m3_nan(const std::byte* codes, std::int64_t count) noexcept {
  // Of the codes' width, so that the loop is a few vectors.
  std::uint8_t greatest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    greatest = std::max(greatest, static_cast<std::uint8_t>(codes[i] | std::byte{0x80}));
  }
  return greatest == 0xFF;
}

/// The scale of a column is NaN where one of its codes is: of codes whose NaNs are not unpacked.
inline void mark_e4m3_nan(float* scales, const PanelLines& lines) noexcept {
  if (!has_e4m3_nan(lines.data(), sizeof lines)) return;
  for (std::size_t column = 0; column < panel_columns; ++column) {
    if (has_e4m3_nan(lines.of_column[column], line_bytes)) scales[column] = std::numeric_limits<float>::quiet_NaN();
  }
}

namespace detail {

/// The order of a run of codes of `code_bits` bits as one of the bits of their indices in PanelLines.
template <int code_bits>
constexpr BitOrder<10> bit_order(const CodeOrder& order) {
  constexpr auto codes_of_line = static_cast<unsigned>(line_bytes * 8 / code_bits);
  const auto index = [&](std::size_t i) { return order[i].column * codes_of_line + order[i].k; };
  BitOrder<10> bits{};
  for (std::size_t j = 0; j < bits.size(); ++j) {
    bits[j] = static_cast<std::uint8_t>(std::countr_zero(index(std::size_t{1} << j)));
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    unsigned expected = 0;
    for (std::size_t j = 0; j < bits.size(); ++j) expected |= static_cast<unsigned>(i >> j & 1U) << bits[j];
    if (index(i) != expected) raise("an order of codes must permute the bits of their indices");
  }
  return bits;
}

template <const CodeOrder& order, int code_bits>
inline constexpr BitOrder<10> bit_order_of = bit_order<code_bits>(order);

}  // namespace detail

/// Bytes of a line that are in one run.
template <int code_bits>
inline constexpr std::int64_t run_line_bytes = run_k* code_bits / 8;

/// Runs in lines.
template <int code_bits>
inline constexpr std::int64_t runs_of_lines = line_bytes / run_line_bytes<code_bits>;

/// Writes the codes of a run of lines in their order: bytes, or nibbles.
template <const CodeOrder& order, int code_bits>
void store_run(std::byte* to, const PanelLines& lines, std::int64_t run) noexcept {
  const std::byte* const from = lines.data() + run * run_line_bytes<code_bits>;
  fetch_to_write<run_codes * code_bits / 8>(to);
  if constexpr (code_bits == 8) {
    rearrange_bytes<10, detail::bit_order_of<order, 8>>(to, from);
  } else {
    static_assert(code_bits == 4);
    rearrange_nibbles<10, detail::bit_order_of<order, 4>>(to, from);
  }
}

/// Unpacks a run code by code: element = value(code, column).
template <const CodeOrder& order, bool nibbles, class Element, class Value>
void unpack_codes(const std::byte* run, std::byte* out, Value value) noexcept {
  for (std::size_t i = 0; i < order.size(); ++i) {
    const CodePlace place = order[i];
    unsigned code = 0;
    if constexpr (nibbles) {
      code = std::to_integer<unsigned>(run[i / 2]) >> (i % 2 * 4) & 0xFU;
    } else {
      code = std::to_integer<unsigned>(run[i]);
    }
    const Element element(value(static_cast<std::uint8_t>(code), place.column));
    std::memcpy(out + element_place<Element>(place.column, place.k) * static_cast<std::int64_t>(sizeof(Element)),
                &element, sizeof element);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
