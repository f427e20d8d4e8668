// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/pack_elements.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// Unquantized weights for products of fp32, in the checkpoint's own type: bf16 and fp16 take half of the bytes, and are
/// widened when they are read. A record is a K step: [2 halves][16 K][16 columns].
struct DenseCodec {
  using Element = float;
  static constexpr std::int64_t record_k = 16;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = false;

  static constexpr std::string_view name() { return "panels_dense"; }

  static constexpr RecordShape record_shape(const Storage& storage, std::int64_t) {
    const DType element = storage.weight == DType::bf16 || storage.weight == DType::f16 ? storage.weight : DType::f32;
    return {.bytes = numbers * static_cast<std::int64_t>(size_of(element)), .element = element};
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float*) {
    visit_floating_dtype(shape.element, [&]<class T>() { pack_elements<T, record_k>(panel, matrix, rows); });
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte* packed, std::int64_t records, const RecordShape& shape, const float*,
                     std::byte* out) noexcept {
    store_numbers<DenseCodec>(packed, records, shape, out);
  }

  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
   public:
    static constexpr float unit = 1.0F;
    static constexpr bool has_scales = false;
    static constexpr bool serves(const RecordShape&) noexcept { return true; }
    static constexpr std::int64_t steps_of_group() noexcept { return 1; }

    Numbers(const std::byte* record, const RecordShape& shape) noexcept : record_(record), element_(shape.element) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t, F f) const noexcept {
      visit_floating_dtype(element_, [&]<class T>() {
        constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
        const auto* const numbers = reinterpret_cast<const T*>(record_);
#pragma GCC unroll 4
        for (std::int64_t k = 0; k < step_of_numbers; ++k) {
#pragma GCC unroll 8
          for (std::int64_t v = 0; v < vectors_of_row<V>; ++v) {
            f(k, v, vector::load<V>(numbers + element_place<float>(v * width, k)));
          }
        }
      });
    }

   private:
    const std::byte* record_;
    DType element_;
  };

 private:
  static constexpr std::int64_t numbers = record_k * panel_columns;
};

static_assert(NumbersCodec<DenseCodec, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
