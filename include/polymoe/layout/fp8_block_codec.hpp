// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panel_groups.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// fp8 weights with a scale for 128 x 128 of them (fp8_static_block128). A record spans 128 K:
///
///     [32 scales, fp32][4 runs of codes]
///
/// One scale a column, because the edges of blocks need not be those of panels. It is NaN where one of the column's codes
/// is, so that only numbers need be unpacked.
template <class Element_>
struct Fp8BlockCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = 128;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = false;

  static constexpr std::string_view name() {
    return sizeof(Element) == 2 ? "panels_fp8_block128_bf16" : "panels_fp8_block128_f32";
  }

  static constexpr RecordShape record_shape(const Storage&, std::int64_t) {
    return {.bytes = header_bytes + runs * run_codes};
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float*) {
    PanelGroups scales(matrix.stored_scales(), rows, matrix.rows_per_scale);
    for (std::int64_t k = 0; k < matrix.columns; k += record_k, panel += shape.bytes) {
      std::memcpy(panel, scales.of(k / record_k), header_bytes);
      pack_record(panel, matrix, rows, k);
    }
  }

  static void pack_tail(float*, const RecordShape&, const quant::WeightMatrix&, const PanelRows&) {}

  static void unpack(const std::byte* packed, std::int64_t records, const RecordShape& shape, const float*,
                     std::byte* out) noexcept {
    if constexpr (std::same_as<Element, float>) {
      store_numbers<Fp8BlockCodec>(packed, records, shape, out);
    } else {
      for (; records > 0; --records, packed += shape.bytes, out += runs * run_bytes<Element>) {
        unpack_record(packed, out);
      }
    }
  }

  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
   public:
    static constexpr float unit = E4m3Numbers::unit<V>;
    static constexpr bool has_scales = true;
    static constexpr bool serves(const RecordShape&) noexcept { return true; }
    static constexpr std::int64_t steps_of_group() noexcept { return record_k / step_of_numbers; }

    Numbers(const std::byte* record, const RecordShape&) noexcept : record_(record) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t step, F f) const noexcept {
      E4m3Numbers::for_step<V>(record_ + header_bytes + step / 2 * run_codes, step % 2, f);
    }
    [[gnu::always_inline]] V scale(std::int64_t, std::int64_t v) const noexcept {
      return vector::load<V>(reinterpret_cast<const float*>(record_) + v * std::int64_t{vector::width<V>});
    }

   private:
    const std::byte* record_;
  };

#if defined(POLYMOE_HAS_AVX512_CODES)
  static constexpr bool scales_records(const RecordShape&) noexcept {
    return true;
  }
  /// Weights of a run of 32 K without their scales, exact in bf16, and the scales, which may multiply sums instead.
  static void unpack_numbers(const std::byte* packed, const RecordShape&, std::int64_t run, std::byte* out) noexcept
      requires(sizeof(Element) == 2) {
    avx512::unpack_e4m3(packed + header_bytes + run * run_codes, run_codes / 64, out);
  }
  static void record_scales(const std::byte* packed, const RecordShape&, float* scales) noexcept {
    std::memcpy(scales, packed, panel_columns * sizeof(float));
  }
#endif

 private:
  static constexpr std::int64_t runs = record_k / run_k;
  static constexpr std::int64_t header_bytes = 128;
  static constexpr const CodeOrder& order =
      std::same_as<Element, float> ? code_order::f32_paired_bytes : code_order::bf16_paired_bytes;

  /// The header has the scales already.
  static void pack_record(std::byte* record, const quant::WeightMatrix& matrix, const PanelRows& rows, std::int64_t k) {
    auto* const scale = reinterpret_cast<float*>(record);
    for (std::size_t column = 0; column < rows.size(); ++column) {
      if (rows[column] < 0) scale[column] = neighbour(scale, column);
    }
    PanelLines lines;
    for (std::int64_t run = 0; run < runs; ++run) {
      const std::int64_t of_lines = run % runs_of_lines<8>;
      if (of_lines == 0) {
        read_codes(lines, matrix, rows, k + run * run_k, std::byte{0});
        mark_e4m3_nan(scale, lines);
      }
      store_run<order, 8>(record + header_bytes + run * run_codes, lines, of_lines);
    }
  }

  /// Columns that are not there take part in their half's table.
  static float neighbour(const float* scale, std::size_t column) {
    return column % 16 == 0 ? 0.0F : scale[column - 1];
  }

  static void unpack_record(const std::byte* record, std::byte* out) noexcept {
    const auto* const scale = reinterpret_cast<const float*>(record);
    const std::byte* const codes = record + header_bytes;
#if defined(POLYMOE_HAS_AVX512_CODES)
    const std::byte* half_codes = codes;
    for (std::int64_t half = 0; half < 2; ++half, half_codes += run_codes / 2) {
      const __m512 scales = _mm512_loadu_ps(scale + half * 16);
      const __m512 first = _mm512_set1_ps(scale[half * 16]);
      if (scale[half * 16] >= 0.0F && _mm512_cmp_ps_mask(scales, first, _CMP_EQ_OQ) == 0xFFFF) {
        unpack_half(half_codes, first, out + half * 1024);
      } else {
        unpack_half(half_codes, avx512::RowScales(scales), out + half * 1024);
      }
    }
#else
    for (std::int64_t run = 0; run < runs; ++run) {
      unpack_codes<order, false, Element>(
          codes + run * run_codes, out + run * run_bytes<Element>,
          [&](std::uint8_t code, std::int64_t column) { return e4m3_number<float>(code) * scale[column]; });
    }
#endif
  }

#if defined(POLYMOE_HAS_AVX512_CODES)
  /// One scale for 16 columns, not negative: the table of the 128 products, each rounded once, replaces the products.
  static void unpack_half(const std::byte* codes, __m512 scale, std::byte* out) noexcept {
    __m512i words[4];
    for (std::int64_t i = 0; i < 4; ++i) {
      const auto* const numbers = reinterpret_cast<const __m256i*>(avx512::e4m3_words.data() + i * 32);
      words[i] = avx512::to_bf16(_mm512_mul_ps(avx512::widen(_mm256_load_si256(numbers)), scale),
                                 _mm512_mul_ps(avx512::widen(_mm256_load_si256(numbers + 1)), scale));
    }
    const avx512::ByteTable table = avx512::ByteTable::of(words);
    for (std::int64_t run = 0; run < runs; ++run, codes += run_codes, out += run_bytes<Element>) {
      for (std::int64_t i = 0; i < 8; ++i) {
        std::byte* const rows = out + i / 4 * 512 + i % 4 * 64;
        __m512i first;
        __m512i second;
        table.look_up(avx512::load(codes + i * 64), first, second);
        avx512::store(rows, first);
        avx512::store(rows + 256, second);
      }
    }
  }

  static void unpack_half(const std::byte* codes, const avx512::RowScales& scales, std::byte* out) noexcept {
    for (std::int64_t run = 0; run < runs; ++run, codes += run_codes, out += run_bytes<Element>) {
      avx512::unpack_e4m3(codes, 8, out);
      for (std::int64_t row = 0; row < 16; ++row) {
        const auto* const words = reinterpret_cast<const __m256i*>(out + row * 64);
        const __m512 first = _mm512_mul_ps(avx512::widen(_mm256_loadu_si256(words)), scales.first);
        const __m512 last = _mm512_mul_ps(avx512::widen(_mm256_loadu_si256(words + 1)), scales.last);
        avx512::store(out + row * 64, avx512::to_bf16(first, last));
      }
    }
  }
#endif
};

static_assert(Codec<Fp8BlockCodec<bf16>>);
static_assert(NumbersCodec<Fp8BlockCodec<float>, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
