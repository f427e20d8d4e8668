// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "polymoe/layout/pack_elements.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// Weights in the microkernel's own element type: a record is a K step, read as it is. Other weights are converted, and
/// rounded where they must be, when they are packed.
template <class Element_>
requires(std::same_as<Element_, bf16> || std::same_as<Element_, std::int8_t>) struct ElementCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = 64 / static_cast<std::int64_t>(sizeof(Element));
  static constexpr bool is_direct = true;
  static constexpr bool has_column_scales = std::same_as<Element, std::int8_t>;

  static constexpr std::string_view name() { return has_column_scales ? "panels_i8" : "panels_bf16"; }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) { return {.bytes = 2048}; }

  /// int8 codes stay as they are, and their scales multiply the sums.
  static void pack(std::byte* panel, const RecordShape&, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float* column_scales) {
    pack_elements<Element, record_k>(panel, matrix, rows);
    if constexpr (has_column_scales) {
      for_columns(column_scales, rows, [&](std::int64_t row) { return matrix.scale(row, 0); });
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte*, std::int64_t, const RecordShape&, const float*, std::byte*) noexcept {}
};

static_assert(Codec<ElementCodec<bf16>>);
static_assert(Codec<ElementCodec<std::int8_t>>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
