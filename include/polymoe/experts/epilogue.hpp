// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "polymoe/config/view.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/experts/product.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// What becomes of a panel's sums while they are in L1.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Sums, scale and bias of a panel's columns.
struct PanelTails {
  const float* first = nullptr;
  std::int64_t floats = 0;  ///< of one panel
  bool has_scales = false;

  const float* of(std::int64_t panel) const noexcept { return first + panel * floats; }
};

/// Sums of fp32 as they are, of int32 as the nearest fp32 numbers.
template <class V, class Sum>
[[gnu::always_inline]] inline V load_sums(const float* sums) noexcept {
  if constexpr (std::is_same_v<Sum, std::int32_t>) {
    using Integers = xsimd::batch<std::int32_t, typename V::arch_type>;
    return xsimd::to_float(Integers::load_unaligned(reinterpret_cast<const std::int32_t*>(sums)));
  } else {
    return vector::load<V>(sums);
  }
}

/// sum * column scale * row scale + bias of 16 columns, vector by vector: f(column, value).
template <class V, class Sum, class F>
[[gnu::always_inline]] inline void finish_sums(const float* sums, const float* tail, bool has_scales, float row_scale,
                                               F f) noexcept {
  constexpr std::int64_t width = static_cast<std::int64_t>(vector::width<V>);
  for (std::int64_t column = 0; column < microkernel::tile_columns; column += width) {
    V value = load_sums<V, Sum>(sums + column);
    if (has_scales) value = value * vector::load<V>(tail + layout::panel_columns + column);
    value = value * V(row_scale);
    f(column, value + vector::load<V>(tail + column));
  }
}

/// Rounds `count` fp32 numbers to row `row` of a tensor, from column `column` on.
template <class V>
void store_row(const MutableTokensView& out, std::int64_t row, std::int64_t column, const float* values,
               std::int64_t count) noexcept {
  constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  visit_floating_dtype(out.dtype, [&]<class T>() {
    T* const to = reinterpret_cast<T*>(out.row(row)) + column;
    std::int64_t i = 0;
    for (; i + width <= count; i += width) vector::store(to + i, vector::load<V>(values + i));
    if (i < count)
      vector::store(to + i, vector::load<V>(values + i, static_cast<std::size_t>(count - i)),
                    static_cast<std::size_t>(count - i));
  });
}

/// Where the intermediate's value `column` of a block's first row stands; the next row's is 64 bytes further. As an
/// operand of the second product, rounded once to the element type, ...
template <class Element_>
struct PlaceInOperand {
  using Element = Element_;
  std::byte* intermediate;
  std::int64_t steps;  ///< K steps of the second product

  Element* operator()(const microkernel::RowBlocks& blocks, std::int64_t block, std::int64_t,
                      std::int64_t column) const noexcept {
    constexpr std::int64_t of_step = microkernel::step_k<Element>;
    std::byte* const step = intermediate + blocks.block_offset(block, column / of_step, steps);
    return reinterpret_cast<Element*>(step) + column % of_step;
  }
};

/// ... or in fp32, where it is quantized afterwards: [columns / 16][rows][16], so that what a panel gives is one run of
/// bytes. Rows that stood one after the other would share a few sets of L1.
struct PlaceInRuns {
  using Element = float;
  float* first;
  std::int64_t run_stride;

  float* operator()(const microkernel::RowBlocks&, std::int64_t, std::int64_t first_row,
                    std::int64_t column) const noexcept {
    return first + column / microkernel::tile_columns * run_stride + first_row * microkernel::tile_columns +
           column % microkernel::tile_columns;
  }
};

/// The first product's end: act(gate, up).
template <class V, class Sum, class Place, class Functor>
struct Activate {
  using Element = typename Place::Element;

  Functor functor;
  PanelTails tails;
  const RoutedRow* rows;  ///< of the chunk
  bool weight_on_input;
  const float* row_scales;  ///< of the chunk's rows, or null
  Place intermediate;
  std::int64_t intermediate_size;  ///< columns beyond it are zeros

  static void finish(const void* context, const PanelSums& sums) noexcept {
    const auto& self = *static_cast<const Activate*>(context);
    constexpr std::int64_t values = Functor::gated ? layout::panel_columns / 2 : layout::panel_columns;
    constexpr std::int64_t of_row = microkernel::row_step_bytes / std::int64_t{sizeof(Element)};
    const float* const tail = self.tails.of(sums.panel);
    const std::int64_t first = sums.panel * values;
    sums.for_blocks([&](std::int64_t block, std::int64_t first_row, std::int64_t count, std::int64_t offset) {
      Element* const out = self.intermediate(sums.blocks, block, first_row, first);
      [[maybe_unused]] Element* const out_of_second_half =
          self.intermediate(sums.blocks, block, first_row, first + microkernel::tile_columns);
      for (std::int64_t i = 0; i < count; ++i, offset += microkernel::row_step_bytes) {
        const float scale = self.row_scales != nullptr ? self.row_scales[first_row + i]
                            : self.weight_on_input     ? self.rows[first_row + i].weight
                                                       : 1.0F;
        const float* const left = sums.left(0, offset);
        const float* const right = sums.right(0, offset);
        if constexpr (Functor::gated) {
          self.gated_row(left, right, tail, scale, out + i * of_row);
        } else {
          self.plain_row(left, tail, scale, out + i * of_row);
          self.plain_row(right, tail + microkernel::tile_columns, scale, out_of_second_half + i * of_row);
        }
      }
      for (std::int64_t column = self.intermediate_size; column < first + values; ++column) {
        Element* const padding = self.intermediate(sums.blocks, block, first_row, column);
        for (std::int64_t i = 0; i < count; ++i) padding[i * of_row] = Element(0.0F);
      }
    });
  }

 private:
  [[gnu::always_inline]] void gated_row(const float* gate, const float* up, const float* tail, float scale,
                                        Element* out) const noexcept {
    finish_sums<V, Sum>(gate, tail, tails.has_scales, scale, [&](std::int64_t column, V g) {
      V u = load_sums<V, Sum>(up + column);
      const float* const up_tail = tail + microkernel::tile_columns + column;
      if (tails.has_scales) u = u * vector::load<V>(up_tail + layout::panel_columns);
      u = u * V(scale) + vector::load<V>(up_tail);
      vector::store_operand(out + column, functor.apply(g, u));
    });
  }

  [[gnu::always_inline]] void plain_row(const float* sums, const float* tail, float scale,
                                        Element* out) const noexcept {
    finish_sums<V, Sum>(sums, tail, tails.has_scales, scale,
                        [&](std::int64_t column, V z) { vector::store_operand(out + column, functor.apply(z)); });
  }
};

/// Rows of the second product's results are anywhere: so many panels, at most, are finished at once, ...
inline constexpr std::int64_t scattered_panels = 8;
/// ... and places are fetched so many rows ahead.
inline constexpr std::int64_t rows_ahead = 4;

/// What the second product gives: c * (sum + b2).
template <class V, class Sum>
struct Results {
  PanelTails tails;
  const RoutedRow* rows;  ///< of the chunk
  bool weight_on_input;
  const float* row_scales;  ///< of the chunk's rows, or null

  /// Calls f(column, value) for the columns of all panels, row `row`, whose sums are at `offset`.
  template <class F>
  [[gnu::always_inline]] void for_row(const PanelSums& sums, std::int64_t row, std::int64_t offset,
                                      F f) const noexcept {
    const float scale = row_scales != nullptr ? row_scales[row] : 1.0F;
    const V c(weight_on_input ? 1.0F : rows[row].weight);
    for (std::int64_t panel = 0; panel < sums.panels; ++panel) {
      const float* const tail = tails.of(sums.panel + panel);
      for (std::int64_t half = 0; half < 2; ++half) {
        const std::int64_t first = panel * layout::panel_columns + half * microkernel::tile_columns;
        finish_sums<V, Sum>(half == 0 ? sums.left(panel, offset) : sums.right(panel, offset),
                            tail + half * microkernel::tile_columns, tails.has_scales, scale,
                            [&](std::int64_t column, V y) { f(first + column, c * y); });
      }
    }
  }
};

/// The second product's end where every slot has a place of its own.
template <class V, class Sum>
struct FillSlots {
  Results<V, Sum> results;
  float* slots;         ///< [T * slots_per_token, stride]
  std::int64_t stride;  ///< H in whole panels, and at least one more

  static void finish(const void* context, const PanelSums& sums) noexcept {
    const auto& self = *static_cast<const FillSlots*>(context);
    const std::int64_t first = sums.panel * layout::panel_columns;
    sums.for_rows([&](std::int64_t row, std::int64_t offset) {
      float* const out = self.slots + self.results.rows[row].slot * self.stride + first;
      self.results.for_row(sums, row, offset,
                           [&](std::int64_t column, V value) { vector::store(out + column, value); });
    });
  }
};

/// The second product's end where a token's pairs are added up as they come, expert by expert: the first one opens
/// the sum, the last one rounds it to the output.
template <class V, class Sum>
struct AddToSums {
  Results<V, Sum> results;
  float* sums_of_tokens;  ///< [T, stride]; not read or written where a token has one pair
  std::int64_t stride;
  MutableTokensView out;

  static void finish(const void* context, const PanelSums& sums) noexcept {
    const auto& self = *static_cast<const AddToSums*>(context);
    const std::int64_t first = sums.panel * layout::panel_columns;
    const std::int64_t floats = sums.panels * layout::panel_columns;
    for (std::int64_t row = 0; row < std::min(rows_ahead, sums.blocks.rows); ++row) self.fetch(row, first, floats);
    sums.for_rows([&](std::int64_t row, std::int64_t offset) {
      if (row + rows_ahead < sums.blocks.rows) self.fetch(row + rows_ahead, first, floats);
      const RoutedRow& routed = self.results.rows[row];
      float* const sum = self.sum_of(routed, first);
      alignas(64) float finished[scattered_panels * layout::panel_columns];
      float* const to = routed.is_last ? finished : sum;
      self.results.for_row(sums, row, offset, [&](std::int64_t column, V value) {
        if (!routed.is_first) value = vector::load<V>(sum + column) + value;
        vector::store(to + column, value);
      });
      if (routed.is_last) {
        store_row<V>(self.out, routed.token, first, finished, std::min(floats, self.out.columns - first));
      }
    });
  }

 private:
  float* sum_of(const RoutedRow& routed, std::int64_t first) const noexcept {
    return sums_of_tokens + (routed.is_first && routed.is_last ? 0 : routed.token * stride + first);
  }

  void fetch(std::int64_t row, std::int64_t first, std::int64_t floats) const noexcept {
    if (results.rows[row].is_first) return;
    const float* const sum = sum_of(results.rows[row], first);
    for (std::int64_t line = 0; line < floats; line += 16) __builtin_prefetch(sum + line);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
