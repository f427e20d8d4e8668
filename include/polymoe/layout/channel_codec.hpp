// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// fp8 or int8 weights with one scale a row of the matrix, or one for all of it (fp8_static_channel, fp8_static_tensor,
/// int8_static_channel). A record is a run of codes; both kinds of numbers are exact in bf16, and the scales multiply
/// the sums.
template <class Element_, QuantElement number>
requires(number == QuantElement::f8_e4m3 || number == QuantElement::i8) struct ChannelCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = run_k;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = true;

  static constexpr std::string_view name() {
    constexpr bool narrow = sizeof(Element) == 2;
    if constexpr (number == QuantElement::i8) {
      return narrow ? "panels_int8_bf16" : "panels_int8_f32";
    } else {
      return narrow ? "panels_fp8_bf16" : "panels_fp8_f32";
    }
  }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) { return {.bytes = run_codes}; }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float* column_scales) {
    for_columns(column_scales, rows, [&](std::int64_t row) { return matrix.scale(row, 0); });
    PanelLines lines;
    for (std::int64_t k = 0; k < matrix.columns;) {
      read_codes(lines, matrix, rows, k, std::byte{0});
      if constexpr (number == QuantElement::f8_e4m3) mark_e4m3_nan(column_scales, lines);
      for (std::int64_t run = 0; run < runs_of_lines<8> && k < matrix.columns;
           ++run, k += run_k, panel += shape.bytes) {
        store_run<order, 8>(panel, lines, run);
      }
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte* packed, std::int64_t records, [[maybe_unused]] const RecordShape& shape,
                     const float*, std::byte* out) noexcept {
    if constexpr (std::same_as<Element, float>) {
      store_numbers<ChannelCodec>(packed, records, shape, out);
    } else {
      unpack_bf16(packed, records, out);
    }
  }

  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
    using Codes = std::conditional_t<number == QuantElement::i8, Int8Numbers, E4m3Numbers>;

   public:
    static constexpr float unit = Codes::template unit<V>;
    static constexpr bool has_scales = false;
    static constexpr bool serves(const RecordShape&) noexcept { return true; }
    static constexpr std::int64_t steps_of_group() noexcept { return record_k / step_of_numbers; }

    Numbers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t step, F f) const noexcept {
      Codes::template for_step<V>(record_, step, f);
    }

   private:
    const std::byte* record_;
  };

 private:
  static constexpr const CodeOrder& order =
      number == QuantElement::i8
          ? (std::same_as<Element, float> ? code_order::f32_bytes : code_order::bf16_bytes)
          : (std::same_as<Element, float> ? code_order::f32_paired_bytes : code_order::bf16_paired_bytes);

  template <class V>
  [[gnu::always_inline]] static V decode(vector::Int<V> code) noexcept {
    if constexpr (number == QuantElement::i8) {
      return int8_number<V>(code);
    } else {
      return e4m3_number<V>(code);
    }
  }

  static void unpack_bf16(const std::byte* packed, std::int64_t records, std::byte* out) noexcept {
#if defined(POLYMOE_HAS_AVX512_CODES)
    if constexpr (number == QuantElement::i8) {
      avx512::unpack_int8(packed, records * run_codes, out);
    } else {
      avx512::unpack_e4m3(packed, records * (run_codes / 64), out);
    }
#else
    for (; records > 0; --records, packed += run_codes, out += run_bytes<Element>) {
      unpack_codes<order, false, Element>(packed, out,
                                          [](std::uint8_t code, std::int64_t) { return decode<float>(code); });
    }
#endif
  }
};

static_assert(Codec<ChannelCodec<bf16, QuantElement::f8_e4m3>>);
static_assert(NumbersCodec<ChannelCodec<float, QuantElement::i8>, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
