// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

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
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// e2m1 weights with an e4m3 scale for 16 along K and an fp32 scale for all (nvfp4_static). A record spans 32 K:
///
///     [2 blocks][32 scales, one byte each], [run of codes]
///
/// e2m1 * e4m3 is exact in bf16; the fp32 scale multiplies the sums. A scale's byte is 16 times its bf16 word without
/// the exponent it has at least: 8 * (exponent + 9) + mantissa, subnormal e4m3 included. Blocks whose scale is 0 have
/// codes of 0 instead, those with a negative scale codes of the other sign, and a NaN makes the column's sums NaN.
/// Codes of 0 and 0.5 have changed places, so that the lowest bit says whether the mantissa is 1.5.
template <class Element_>
struct NvFp4Codec {
  using Element = Element_;
  static constexpr std::int64_t record_k = run_k;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = true;

  static constexpr std::string_view name() { return sizeof(Element) == 2 ? "panels_nvfp4_bf16" : "panels_nvfp4_f32"; }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) {
    return {.bytes = header_bytes + run_codes / 2};
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float* column_scales) {
    for_columns(column_scales, rows, [&](std::int64_t row) { return matrix.global_scale(row); });
    PanelGroups scales(matrix.stored_scales(), rows);
    PanelLines lines;
    for (std::int64_t k = 0; k < matrix.columns; k += runs_of_lines<4> * run_k) {
      read_codes(lines, matrix, rows, k, std::byte{0});
      const std::int64_t runs = std::min((matrix.columns - k + run_k - 1) / run_k, runs_of_lines<4>);
      for (std::int64_t run = 0; run < runs; ++run) {
        const std::byte* const of_run = scales.of((k + run * run_k) / block_k);
        if (!pack_scales(panel + run * shape.bytes, of_run)) apply_others(lines, run, of_run, column_scales);
      }
      lines.change(exchanged_all);
      for (std::int64_t run = 0; run < runs; ++run, panel += shape.bytes) {
        store_run<order, 4>(panel + header_bytes, lines, run);
      }
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte* packed, std::int64_t records, const RecordShape& shape, const float*,
                     std::byte* out) noexcept {
    if constexpr (std::same_as<Element, float>) {
      store_numbers<NvFp4Codec>(packed, records, shape, out);
    } else {
      for (; records > 0; --records, packed += shape.bytes, out += run_bytes<Element>) unpack_run(packed, out);
    }
  }

  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
   public:
    static constexpr float unit = E2m1Numbers::unit<V>;
    static constexpr bool has_scales = true;
    static constexpr bool serves(const RecordShape&) noexcept { return true; }
    static constexpr std::int64_t steps_of_group() noexcept { return block_k / step_of_numbers; }

    Numbers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t step, F f) const noexcept {
      E2m1Numbers::for_step<V>(record_ + header_bytes, step, f);
    }
    [[gnu::always_inline]] V scale(std::int64_t step, std::int64_t v) const noexcept {
      return block_scale<V>(record_, step, v, least_word << 16);
    }

   private:
    const std::byte* record_;
  };

 private:
  /// e2m1 weights of a record as integers, twice the numbers, times a number for each 16 K.
  class Fp4Integers {
   public:
    using Vector = vector::Native;
    static constexpr int groups_of_run = 2;
    static constexpr int most_rows = most_rows_of_nibbles<Element>;
    static constexpr std::int64_t runs_of_group() noexcept { return 1; }
    static constexpr bool serves(const RecordShape&) noexcept { return true; }

    Fp4Integers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    [[gnu::always_inline]] void two_quads(std::int64_t, int v, int pair, vector::Int<Vector>* quads) const noexcept {
      layout::two_quads<Element, Vector>(record_ + header_bytes, v, pair, integers, quads);
    }
    /// Half of the number of e4m3.
    [[gnu::always_inline]] Vector scale(std::int64_t, int part, int v) const noexcept {
      return block_scale<Vector>(record_, part, v, (least_word << 16) - (1 << 23));
    }
    static Vector zero(std::int64_t, int, int) noexcept { return Vector(e2m1_zero); }

   private:
    const std::byte* record_;
  };

 public:
  using Integers = std::conditional_t<has_quads<Element>, Fp4Integers, void>;

 private:
  static constexpr std::int64_t block_k = 16;
  static constexpr std::int64_t blocks = run_k / block_k;
  static constexpr std::int64_t header_bytes = blocks * panel_columns;
  static constexpr std::int32_t least_exponent = -9;
  static constexpr const CodeOrder& order =
      std::same_as<Element, float> ? code_order::f32_nibbles : code_order::bf16_nibbles;

  /// What is stored for a code of the checkpoint, and what a stored code stands for.
  static constexpr std::uint8_t exchanged(std::uint8_t code) noexcept {
    return std::same_as<Element, bf16> && (code & 7U) < 2 ? code ^ 1U : code;
  }

  /// The same for 16 of them.
  static constexpr std::uint64_t exchanged_all(std::uint64_t codes) noexcept {
    return std::same_as<Element, bf16> ? codes ^ (~(codes >> 1 | codes >> 2) & each_byte(0x11)) : codes;
  }

  alignas(16) static constexpr std::array<std::uint8_t, 16> integers = [] {
    std::array<std::uint8_t, 16> made{};
    for (std::uint8_t code = 0; code < 16; ++code) made[code] = e2m1_integers[exchanged(code)];
    return made;
  }();

  static constexpr std::uint16_t word_of(float value) { return bf16(value).bits; }
  static constexpr std::int32_t least_word = (127 + least_exponent) << 7;

  /// Of an e4m3 magnitude. Those of subnormal numbers, below 8, are on lines that are ever steeper: without a table, and in
  /// bytes, the loop over columns is a few vectors.
  static constexpr std::uint8_t scale_byte(std::uint8_t magnitude) noexcept {
    const auto low = std::min<std::uint8_t>(magnitude, 8);
    const auto of_low = std::min({static_cast<std::uint8_t>(2 * low + 8), static_cast<std::uint8_t>(4 * low),
                                  static_cast<std::uint8_t>(8 * std::max<std::uint8_t>(low, 1) - 8)});
    return magnitude == 0x7F ? std::uint8_t{0} : static_cast<std::uint8_t>(of_low + magnitude - low);
  }

  static_assert([] {
    for (std::uint8_t magnitude = 1; magnitude < 0x7F; ++magnitude) {
      if (scale_byte(magnitude) != (word_of(e4m3_decode(magnitude)) - least_word) >> 4) return false;
    }
    return true;
  }());

  /// The scales of a run, [2 blocks][32]; false where they have more to say.
  static bool pack_scales(std::byte* record, const std::byte* scales) noexcept {
    std::uint8_t greatest = 0;
    for (std::int64_t i = 0; i < header_bytes; ++i) {
      const auto scale = std::to_integer<std::uint8_t>(scales[i]);
      greatest = std::max(greatest, static_cast<std::uint8_t>(scale - 1));
      record[i] = static_cast<std::byte>(scale_byte(scale & 0x7F));
    }
    return greatest < 0x7E;
  }

  /// What scales that are 0 or negative make of codes, and NaNs of their columns' scales.
  static void apply_others(PanelLines& lines, std::int64_t run, const std::byte* scales,
                           float* column_scales) noexcept {
    for (std::int64_t i = 0; i < header_bytes; ++i) {
      const auto scale = std::to_integer<std::uint8_t>(scales[i]);
      const std::int64_t column = i % panel_columns;
      std::byte* const block = lines.of_column[column] + run * run_line_bytes<4> + i / panel_columns * (block_k / 2);
      std::uint64_t codes;
      std::memcpy(&codes, block, sizeof codes);
      codes = (scale & 0x7FU) == 0 ? 0 : codes ^ each_byte(scale < 0x80 ? 0 : 0x88);
      std::memcpy(block, &codes, sizeof codes);
      if ((scale & 0x7FU) == 0x7F) column_scales[column] = std::numeric_limits<float>::quiet_NaN();
    }
  }

  /// Those of a vector of columns, whose least one has the bits `least`.
  template <class V>
  [[gnu::always_inline]] static V block_scale(const std::byte* record, std::int64_t block, std::int64_t v,
                                              std::int32_t least) noexcept {
    using I = vector::Int<V>;
    const auto* const scales = reinterpret_cast<const std::uint8_t*>(record) + block * panel_columns;
    const I bytes = load_bytes<V>(scales + v * static_cast<std::int64_t>(vector::width<V>));
    return vector::from_bits<V>((bytes << 20) + I(least));
  }

  static float scale(std::byte byte) noexcept {
    const std::uint32_t word = static_cast<std::uint32_t>(least_word) + (std::to_integer<std::uint32_t>(byte) << 4);
    return std::bit_cast<float>(word << 16);
  }

  static void unpack_run(const std::byte* record, std::byte* out) noexcept {
    const std::byte* codes = record + header_bytes;
#if defined(POLYMOE_HAS_AVX512_CODES)
    if constexpr (std::same_as<Element, bf16>) {
      for (std::int64_t half = 0; half < 2; ++half) {
        for (std::int64_t block = 0; block < 2; ++block, codes += 128, out += 512) {
          unpack_block(record + block * panel_columns + half * 16, codes, out);
        }
      }
      return;
    }
#endif
    float scales[blocks][panel_columns];
    for (std::int64_t block = 0; block < blocks; ++block) {
      for (std::int64_t column = 0; column < panel_columns; ++column) {
        scales[block][column] = scale(record[block * panel_columns + column]);
      }
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      const CodePlace place = order[i];
      const unsigned code = std::to_integer<unsigned>(codes[i / 2]) >> (i % 2 * 4);
      const Element element(e2m1_number<float>(exchanged(static_cast<std::uint8_t>(code & 0xFU))) *
                            scales[place.k / block_k][place.column]);
      std::memcpy(out + element_place<Element>(place.column, place.k) * std::int64_t{sizeof(Element)}, &element,
                  sizeof element);
    }
  }

#if defined(POLYMOE_HAS_AVX512_CODES)
  // A word is made by taking from sign | exponent of the number | what 1.5 adds to the scale's word the distance of the
  // scale's word to `top`; zeros are -0, where that saturates. The upper byte depends on the code alone, the lower one
  // on its two lower bits and the column.
  static constexpr std::int32_t top = 140 << 7;

  [[gnu::always_inline]] static void unpack_block(const std::byte* scales, const std::byte* codes,
                                                  std::byte* out) noexcept {
    const __m128i scale = _mm_loadu_si128(reinterpret_cast<const __m128i*>(scales));
    const __m512i words = avx512::twice_each(_mm512_castsi256_si512(_mm256_cvtepu8_epi16(scale)));
    const __m512i missing = _mm512_sub_epi16(_mm512_set1_epi16(top - least_word), _mm512_slli_epi16(words, 4));
    // Four bytes a column: 0, what 1.5 adds, and both with the exponent's lowest bit.
    const __m128i mantissa = _mm_and_si128(scale, _mm_set1_epi8(7));
    const __m128i added =
        _mm_shuffle_epi8(_mm_load_si128(reinterpret_cast<const __m128i*>(tables.added.data())), mantissa);
    const __m512i added_words = _mm512_slli_epi32(_mm512_cvtepu8_epi32(added), 8);
    const __m512i low_bytes = _mm512_ternarylogic_epi32(added_words, _mm512_slli_epi32(added_words, 16),
                                                        _mm512_set1_epi32(lowest_exponent_bit), 0xFE);
    const __m512i high_bytes = avx512::four_times(tables.high);
    const __m512i columns = avx512::columns_of_codes<4>();
    avx512::unpack_nibbles(codes, block_k / 2, missing, out, [&](__m512i code, __m512i& low, __m512i& high) {
      // (code & 3) | column * 4
      low = _mm512_permutexvar_epi8(_mm512_ternarylogic_epi32(code, _mm512_set1_epi8(3), columns, 0xEA), low_bytes);
      high = _mm512_permutexvar_epi8(code, high_bytes);
    });
  }

  static constexpr std::uint16_t word_with_exponent(std::uint8_t stored_code) {
    const std::uint8_t code = exchanged(stored_code);
    if ((code & 7U) == 0) return 0x8000;
    const std::int32_t exponent = (word_of(e2m1_decode(code & 7U)) >> 7) - 127;
    return static_cast<std::uint16_t>((code >> 3 << 15) | (top + exponent * 128));
  }

  struct Tables {
    alignas(16) std::array<std::uint8_t, 16> high{};
    alignas(16) std::array<std::uint8_t, 16> added{};  ///< by the scale's mantissa
  };
  static constexpr Tables tables = [] {
    Tables made;
    for (std::uint8_t code = 0; code < 16; ++code) {
      made.high[code] = static_cast<std::uint8_t>(word_with_exponent(code) >> 8);
      const float scale = 1.0F + static_cast<float>(code % 8) / 8.0F;
      made.added[code] = static_cast<std::uint8_t>(word_of(1.5F * scale) - word_of(scale));
    }
    return made;
  }();

  /// In the bytes for codes with the second bit set, or clear, whichever the exponents of the tables have.
  static constexpr std::int32_t lowest_exponent_bit =
      static_cast<std::int32_t>((word_with_exponent(2) & 0x80U) != 0 ? 0x80800000U : 0x00008080U);
#endif
};

static_assert(Codec<NvFp4Codec<bf16>>);
static_assert(NumbersCodec<NvFp4Codec<float>, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
