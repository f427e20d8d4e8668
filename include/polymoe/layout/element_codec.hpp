// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "polymoe/layout/bit_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

namespace detail {

/// Bits of an index of a byte in lines of 64 bytes for 32 columns. Row r of a tile holds word r of 16 columns: the
/// word's bits and those of the column within its half change places.
inline constexpr BitOrder<11> word_order{0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 10};

}  // namespace detail

/// Weights in the microkernel's own element type: a record is a K step, read as it is. Other weights are converted, and
/// rounded where they must be, when they are packed.
template <class Element_>
struct ElementCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = 64 / static_cast<std::int64_t>(sizeof(Element));
  static constexpr bool is_direct = true;
  static constexpr bool has_column_scales = std::is_same_v<Element, std::int8_t>;

  static constexpr std::string_view name() {
    return has_column_scales ? "panels_i8" : sizeof(Element) == 2 ? "panels_bf16" : "panels_f32";
  }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) { return {.bytes = 2048}; }

  /// int8 codes stay as they are, and their scales multiply the sums.
  static float column_scale(const quant::WeightMatrix& matrix, const RecordShape&, std::int64_t row) {
    return has_column_scales ? matrix.scale(row, 0) : 1.0F;
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix,
                   const PanelRows& rows) {
    for (std::int64_t k = 0; k < matrix.columns; k += record_k, panel += shape.bytes) {
      pack_record(panel, matrix, rows, k);
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte*, std::int64_t, const RecordShape&, const float*, std::byte*) noexcept {}

 private:
  static void pack_record(std::byte* record, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k) {
    const std::int64_t count = std::min(record_k, matrix.columns - k);
    alignas(64) Element lines[panel_columns][record_k];
    for (std::size_t column = 0; column < rows.size(); ++column) {
      const std::int64_t row = rows[column];
      Element* const line = lines[column];
      if (row >= 0 && count == record_k) {
        read(line, matrix, row, k, record_k);
        continue;
      }
      std::fill_n(line, record_k, Element{});
      if (row >= 0) read(line, matrix, row, k, count);
    }
    rearrange_bytes<11, detail::word_order>(record, reinterpret_cast<const std::byte*>(lines));
  }

  [[gnu::always_inline]] static void read(Element* elements, const quant::WeightMatrix& matrix, std::int64_t row,
                                          std::int64_t k, std::int64_t count) {
    if constexpr (has_column_scales) {
      matrix.codes(row, k, count, reinterpret_cast<std::uint8_t*>(elements));
    } else {
      const TensorView& weight = matrix.tensors.weight;
      if (matrix.key.is_none() && weight.dtype == dtype_of<Element>::value) {
        const std::int64_t index = row * matrix.columns + k;
        std::memcpy(elements, weight.data + index * static_cast<std::int64_t>(sizeof(Element)),
                    static_cast<std::size_t>(count) * sizeof(Element));
        return;
      }
      float values[record_k];
      matrix.values(row, k, count, values);
      for (std::int64_t i = 0; i < count; ++i) elements[i] = Element(values[i]);
    }
  }
};

static_assert(Codec<ElementCodec<bf16>>);
static_assert(Codec<ElementCodec<float>>);
static_assert(Codec<ElementCodec<std::int8_t>>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
