// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/integers.hpp"
#include "polymoe/layout/mx_scales.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/exponent.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// OCP MX weights, e4m3 or e2m1 with a power of two for 32 along K (mxfp8_static, mxfp4_static). A record spans 64 K:
///
///     [2 runs][32 steps, one byte each], [2 runs of codes]        steps: layout/mx_scales.hpp
///
/// Zeros are stored as negative ones: taking a step from the word of -0, the least there is, saturates at -0.
template <class Element_, QuantElement number>
requires(number == QuantElement::f8_e4m3 || number == QuantElement::e2m1) struct MxCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = 64;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = true;

  static constexpr std::string_view name() {
    constexpr bool narrow = sizeof(Element) == 2;
    if constexpr (is_fp4) {
      return narrow ? "panels_mxfp4_bf16" : "panels_mxfp4_f32";
    } else {
      return narrow ? "panels_mxfp8_bf16" : "panels_mxfp8_f32";
    }
  }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) {
    return {.bytes = header_bytes + runs * code_bytes};
  }

  static float column_scale(const quant::WeightMatrix& matrix, const RecordShape&, std::int64_t row) {
    // A NaN among the codes would lose itself when steps are taken from it.
    if constexpr (!is_fp4) {
      if (has_e4m3_nan(matrix, row)) return std::numeric_limits<float>::quiet_NaN();
    }
    return Scales::column_scale(matrix, row);
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix,
                   const PanelRows& rows) {
    std::array<std::int32_t, panel_columns> moved{};
    for (std::size_t column = 0; column < rows.size(); ++column) {
      if (rows[column] >= 0) moved[column] = Scales::moved_by(matrix, rows[column]);
    }
    for (std::int64_t k = 0; k < matrix.columns; k += record_k, panel += shape.bytes) {
      pack_record(panel, matrix, rows, k, moved);
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte* packed, std::int64_t records, const RecordShape& shape, const float*,
                     std::byte* out) noexcept {
#if defined(POLYMOE_HAS_AVX512_CODES)
    if constexpr (std::same_as<Element, bf16>) return unpack_bf16(packed, records, shape, out);
#endif
    if constexpr (std::same_as<Element, float>) {
      store_numbers<MxCodec>(packed, records, shape, out);
    } else {
      for (; records > 0; --records, packed += shape.bytes) {
        for (std::int64_t run = 0; run < runs; ++run, out += run_bytes<Element>) {
          const std::byte* const codes = packed + header_bytes + run * code_bytes;
          unpack_run(packed + run * panel_columns, codes, out);
        }
      }
    }
  }

  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
    using Codes = std::conditional_t<number == QuantElement::e2m1, E2m1Numbers, E4m3Numbers>;

   public:
    static constexpr float unit = Codes::template unit<V>;
    static constexpr bool has_scales = true;
    static constexpr bool serves(const RecordShape&) noexcept { return true; }
    static constexpr std::int64_t steps_of_group() noexcept { return run_k / step_of_numbers; }

    Numbers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t step, F f) const noexcept {
      Codes::template for_step<V>(record_ + header_bytes + step / 2 * code_bytes, step % 2, f);
    }
    /// 2^(highest - step).
    [[gnu::always_inline]] V scale(std::int64_t step, std::int64_t v) const noexcept {
      return block_scale<V>(record_, step / 2, v, highest);
    }

   private:
    const std::byte* record_;
  };

 private:
  /// e2m1 weights of a record as integers, twice the numbers, times a power of two for each 32 K.
  class Fp4Integers {
   public:
    using Vector = vector::Native;
    static constexpr int groups_of_run = 1;
    static constexpr int most_rows = most_rows_of_nibbles<Element>;
    static constexpr std::int64_t runs_of_group() noexcept { return 1; }
    static constexpr bool serves(const RecordShape&) noexcept { return true; }

    Fp4Integers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    [[gnu::always_inline]] void two_quads(std::int64_t run, int v, int pair,
                                          vector::Int<Vector>* quads) const noexcept {
      layout::two_quads<Element, Vector>(record_ + header_bytes + run * code_bytes, v, pair, e2m1_integers, quads);
    }
    /// 2^(highest - step - 1).
    [[gnu::always_inline]] Vector scale(std::int64_t run, int, int v) const noexcept {
      return block_scale<Vector>(record_, run, v, highest - 1);
    }
    static Vector zero(std::int64_t, int, int) noexcept { return Vector(e2m1_zero); }

   private:
    const std::byte* record_;
  };

 public:
  using Integers = std::conditional_t<number == QuantElement::e2m1 && has_quads<Element>, Fp4Integers, void>;

 private:
  static constexpr bool is_fp4 = number == QuantElement::e2m1;
  static constexpr std::int64_t runs = record_k / run_k;
  static constexpr std::int64_t code_bytes = is_fp4 ? run_codes / 2 : run_codes;
  static constexpr std::int64_t header_bytes = 64;
  static constexpr std::uint8_t zero = is_fp4 ? 8 : 0x80;

  // Numbers of either format times these stay normal in bf16.
  static constexpr std::int32_t lowest = is_fp4 ? -125 : -117;
  static constexpr std::int32_t highest = is_fp4 ? 125 : 119;
  using Scales = MxScales<lowest, highest>;

  static constexpr const CodeOrder& order = std::same_as<Element, float>
                                                ? (is_fp4 ? code_order::f32_nibbles : code_order::f32_paired_bytes)
                                                : (is_fp4 ? code_order::bf16_nibbles : code_order::bf16_paired_bytes);

  /// 2^(exponent - step) for a vector of columns of a run.
  template <class V>
  [[gnu::always_inline]] static V block_scale(const std::byte* record, std::int64_t run, std::int64_t v,
                                              std::int32_t exponent) noexcept {
    using I = vector::Int<V>;
    const auto* const steps = reinterpret_cast<const std::uint8_t*>(record) + run * panel_columns;
    const I taken = load_bytes<V>(steps + v * static_cast<std::int64_t>(vector::width<V>));
    return vector::from_bits<V>((I(127 + exponent) - taken) << 23);
  }

  static void pack_record(std::byte* record, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k,
                          const std::array<std::int32_t, panel_columns>& moved) {
    RunCodes codes;
    for (std::int64_t run = 0; run < runs; ++run, k += run_k) {
      read_codes(codes, matrix, rows, k, zero);
      for (std::size_t column = 0; column < rows.size(); ++column) {
        const bool is_there = rows[column] >= 0 && k < matrix.columns;
        const std::int32_t step =
            is_there
                ? Scales::step(scale_codes(matrix, rows[column])[static_cast<std::size_t>(k / run_k)], moved[column])
                : -1;
        const bool fits = Scales::is_step(step);
        record[run * panel_columns + static_cast<std::int64_t>(column)] = static_cast<std::byte>(fits ? step : 0);
        if (fits) {
          // 0 is the one code that changes; written without a choice, the loop is a few vectors.
          for (std::uint8_t& code : codes[column]) code = static_cast<std::uint8_t>(code | (code == 0 ? zero : 0U));
        } else {
          codes[column].fill(zero);
        }
      }
      std::byte* const to = record + header_bytes + run * code_bytes;
      if constexpr (is_fp4) {
        store_nibbles<order>(to, codes);
      } else {
        store_bytes<order>(to, codes);
      }
    }
  }

  static float decode(std::uint8_t code) noexcept {
    if constexpr (is_fp4) {
      return e2m1_number<float>(code);
    } else {
      return e4m3_number<float>(code);
    }
  }

  static void unpack_run(const std::byte* steps, const std::byte* codes, std::byte* out) noexcept {
    float scale[panel_columns];
    for (std::int64_t column = 0; column < panel_columns; ++column) {
      scale[column] = Scales::scale(std::to_integer<std::int32_t>(steps[column]));
    }
    unpack_codes<order, is_fp4, Element>(
        codes, out, [&](std::uint8_t code, std::int64_t column) { return decode(code) * scale[column]; });
  }

#if defined(POLYMOE_HAS_AVX512_CODES)
  static void unpack_bf16(const std::byte* packed, std::int64_t records, const RecordShape& shape,
                          std::byte* out) noexcept {
    const std::conditional_t<is_fp4, Fp4Unpacker, avx512::E4m3Unpacker<highest>> unpacker;
    for (; records > 0; --records, packed += shape.bytes) {
      const std::byte* codes = packed + header_bytes;
      for (std::int64_t half = 0; half < 2 * runs; ++half, codes += code_bytes / 2, out += 1024) {
        const __m128i steps = _mm_loadu_si128(reinterpret_cast<const __m128i*>(packed + half * 16));
        const __m256i words = _mm256_slli_epi16(_mm256_cvtepu8_epi16(steps), 7);
        unpacker.unpack(codes, 8, avx512::twice_each(_mm512_castsi256_si512(words)), out);
      }
    }
  }

  /// What avx512::E4m3Unpacker is, for e2m1.
  struct Fp4Unpacker {
    [[gnu::always_inline]] static void unpack(const std::byte* codes, std::int64_t vectors, __m512i missing,
                                              std::byte* out) noexcept {
      avx512::look_up_nibbles(codes, 2 * vectors, missing, out, fp4_words);
    }
  };

  /// e2m1's codes times 2^highest.
  static constexpr auto fp4_words =
      avx512::WordBytes<16>::of([](std::uint8_t code) { return bf16(e2m1_decode(code) * power_of_two(highest)).bits; });
#endif
};

static_assert(Codec<MxCodec<bf16, QuantElement::e2m1>>);
static_assert(NumbersCodec<MxCodec<float, QuantElement::f8_e4m3>, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
