// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
#include "polymoe/layout/panel_groups.hpp"
#include "polymoe/layout/panel_lines.hpp"
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

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float* column_scales) {
    PanelGroups scales(matrix.stored_scales(), rows);
    const std::array<std::int32_t, panel_columns> moved = moved_columns(scales, matrix.groups(), rows, column_scales);
    PanelLines lines;
    for (std::int64_t k = 0; k < matrix.columns;) {
      read_codes(lines, matrix, rows, k, std::byte{0});
      // A NaN among the codes would lose itself when steps are taken from it.
      if constexpr (!is_fp4) mark_e4m3_nan(column_scales, lines);
      lines.change(with_negative_zeros);
      for (std::int64_t run = 0; run < runs_of_lines<code_bits> && k < matrix.columns; run += runs) {
        for (std::int64_t i = 0; i < runs; ++i, k += run_k) {
          std::byte* const steps = panel + i * panel_columns;
          if (k >= matrix.columns) {
            std::memset(steps, 0, panel_columns);
          } else if (!pack_steps(steps, scales.of(k / run_k), moved)) {
            clear_others(lines, run + i, scales.of(k / run_k), moved);
          }
          store_run<order, code_bits>(panel + header_bytes + i * code_bytes, lines, run + i);
        }
        panel += shape.bytes;
      }
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
  static constexpr int code_bits = is_fp4 ? 4 : 8;
  static constexpr std::int64_t code_bytes = run_codes * code_bits / 8;
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

  /// Codes of 0 become those of -0.
  static constexpr std::uint64_t with_negative_zeros(std::uint64_t codes) noexcept {
    if constexpr (is_fp4) {
      const std::uint64_t in_lowest_pairs = codes | codes >> 2;
      return codes | (~(in_lowest_pairs | in_lowest_pairs >> 1) & each_byte(0x11)) << 3;
    } else {
      // A carry into the upper bit says that one of the lower seven is set.
      return codes | ~(((codes & each_byte(0x7F)) + each_byte(0x7F)) | each_byte(0x7F));
    }
  }

  /// By what columns are moved, and their scales.
  static std::array<std::int32_t, panel_columns> moved_columns(PanelGroups& scales, std::int64_t groups,
                                                               const PanelRows& rows, float* column_scales) noexcept {
    using Codes = std::array<std::uint8_t, panel_columns>;
    Codes least;
    Codes greatest{};
    Codes above_greatest;  // where the code of NaN is 0
    least.fill(Scales::nan_code - 1);
    above_greatest.fill(1);
    for (std::int64_t group = 0; group < groups; ++group) {
      const std::byte* const codes = scales.of(group);
      for (std::size_t column = 0; column < rows.size(); ++column) {
        const auto code = std::to_integer<std::uint8_t>(codes[column]);
        least[column] = std::min(least[column], code);
        greatest[column] = std::max(greatest[column], code);
        above_greatest[column] = std::max(above_greatest[column], static_cast<std::uint8_t>(code + 1));
      }
    }
    std::array<std::int32_t, panel_columns> moved{};
    for (std::size_t column = 0; column < rows.size(); ++column) {
      if (rows[column] >= 0) moved[column] = Scales::moved_by(least[column], above_greatest[column] - 1);
      column_scales[column] = rows[column] < 0                       ? 0.0F
                              : greatest[column] == Scales::nan_code ? std::numeric_limits<float>::quiet_NaN()
                                                                     : power_of_two(moved[column]);
    }
    return moved;
  }

  /// A run's steps; false where some column has none, and needs zeros.
  static bool pack_steps(std::byte* steps, const std::byte* scales,
                         const std::array<std::int32_t, panel_columns>& moved) noexcept {
    std::array<std::int32_t, panel_columns> made;
    std::int32_t others = 0;
    for (std::size_t column = 0; column < made.size(); ++column) {
      const std::int32_t step = Scales::step(std::to_integer<std::int32_t>(scales[column]), moved[column]);
      made[column] = Scales::is_step(step) ? step : 0;
      others |= Scales::is_step(step) ? 0 : 1;
    }
    for (std::size_t column = 0; column < made.size(); ++column) steps[column] = static_cast<std::byte>(made[column]);
    return others == 0;
  }

  static void clear_others(PanelLines& lines, std::int64_t run, const std::byte* scales,
                           const std::array<std::int32_t, panel_columns>& moved) noexcept {
    constexpr std::int64_t bytes = run_line_bytes<code_bits>;
    for (std::size_t column = 0; column < moved.size(); ++column) {
      if (Scales::is_step(Scales::step(std::to_integer<std::int32_t>(scales[column]), moved[column]))) continue;
      std::memset(lines.of_column[column] + run * bytes, is_fp4 ? zero * 0x11 : zero, bytes);
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
