// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/config/error.hpp"
#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Codes of 8 or 4 bits stand in runs of 32 K x 32 columns: 1024 or 512 bytes, the left half of the panel before the
// right one. Within a run their order is the one in which the fewest instructions make K steps of them.

namespace polymoe::inline POLYMOE_ISA::layout {

inline constexpr std::int64_t run_k = 32;
inline constexpr std::int64_t run_codes = run_k * panel_columns;

/// Codes of a run, a byte each: [column][K].
using RunCodes = std::array<std::array<std::uint8_t, run_k>, panel_columns>;

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

/// The codes of K [k, k + 32) of a panel; `none` where the matrix has none.
inline void read_codes(RunCodes& codes, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k,
                       std::uint8_t none) noexcept {
  const std::int64_t count = std::clamp<std::int64_t>(matrix.columns - k, 0, run_k);
  for (std::size_t column = 0; column < rows.size(); ++column) {
    const std::int64_t row = rows[column];
    std::uint8_t* const to = codes[column].data();
    if (row >= 0 && count == run_k) {
      matrix.codes(row, k, run_k, to);  // a constant: no loops over what a few vectors hold
      continue;
    }
    codes[column].fill(none);
    if (row >= 0 && count > 0) matrix.codes(row, k, count, to);
  }
}

/// Whether e4m3's NaN is among codes.
inline bool has_e4m3_nan(const std::uint8_t* codes, std::int64_t count) noexcept {
  std::uint8_t found = 0;  // of the codes' width, so that the loop is a few vectors
  for (std::int64_t i = 0; i < count; ++i) found |= static_cast<std::uint8_t>((codes[i] & 0x7FU) == 0x7FU);
  return found != 0;
}

/// Whether it is among those of a row.
inline bool has_e4m3_nan(const quant::WeightMatrix& matrix, std::int64_t row) noexcept {
  constexpr std::int64_t chunk = 256;
  std::uint8_t codes[chunk];
  for (std::int64_t k = 0; k < matrix.columns; k += chunk) {
    const std::int64_t count = std::min(chunk, matrix.columns - k);
    matrix.codes(row, k, count, codes);
    if (has_e4m3_nan(codes, count)) return true;
  }
  return false;
}

namespace detail {

/// The bits of an index of RunCodes, which is column * 32 + k, in the order of a CodeOrder.
constexpr BitOrder<10> bit_order(const CodeOrder& order) {
  const auto index = [&](std::size_t i) { return static_cast<unsigned>(order[i].column * run_k + order[i].k); };
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

template <const CodeOrder& order>
inline constexpr BitOrder<10> bit_order_of = bit_order(order);

}  // namespace detail

/// Writes the codes of a run in their order, a byte each.
template <const CodeOrder& order>
void store_bytes(std::byte* run, const RunCodes& codes) noexcept {
  rearrange_bytes<10, detail::bit_order_of<order>>(run, reinterpret_cast<const std::byte*>(codes.data()));
}

/// Writes the codes of a run, all less than 16, in their order.
template <const CodeOrder& order>
void store_nibbles(std::byte* run, const RunCodes& codes) noexcept {
  rearrange_to_nibbles<10, detail::bit_order_of<order>>(run, reinterpret_cast<const std::byte*>(codes.data()));
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
