// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "polymoe/config/error.hpp"
#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/integers.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panel_groups.hpp"
#include "polymoe/layout/panel_lines.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/fp16.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// int4 or int8 weights in groups of 32, 64 or 128 along K, or with one scale a row (int4_static_group,
/// int8_static_group). A record spans 128 K; what it holds depends on the checkpoint:
///
///     [groups][32 scales, in their own type], [groups][32 zero points, a byte each], [4 runs of codes]
///
/// * (code - zero) * scale is computed in fp32 and rounded once. Without zero points codes are stored as signed
/// numbers.
/// * One scale a row and no zero points: no groups, and the scale multiplies the sums.
/// * With a g_idx neighbours along K may be of any groups: a record has [128 groups, 16 bits each], [4 runs of codes],
///   and the panel's tail [groups of a row and one of zeros][32 scales, 32 zero points], all fp32. Exact, code by code,
///   not fast.
template <class Element_, int bits>
requires(bits == 4 || bits == 8) struct IntGroupCodec {
  using Element = Element_;
  static constexpr std::int64_t record_k = 128;
  static constexpr bool is_direct = false;
  static constexpr bool has_column_scales = true;
  /// Up to 10 % faster, where unpacking among products makes other codecs 3 to 12 % faster (1024 tokens of qwen3-30b-a3b).
  static constexpr bool unpacks_apart = true;

  static constexpr std::string_view name() {
    constexpr bool narrow = sizeof(Element) == 2;
    if constexpr (is_int4) {
      return narrow ? "panels_int4_group_bf16" : "panels_int4_group_f32";
    } else {
      return narrow ? "panels_int8_group_bf16" : "panels_int8_group_f32";
    }
  }

  static constexpr RecordShape record_shape(const Storage& storage, std::int64_t columns) {
    const bool whole_row = storage.group_size == quant::whole_row;
    const std::int64_t group_size = whole_row ? columns : storage.group_size;
    RecordShape shape{.scale = storage.scale, .zero_points = storage.zero_points, .group_index = storage.group_index};
    if (storage.group_index) {
      // One group more, of zeros, for what is beyond the last column.
      const std::int64_t groups = (columns + group_size - 1) / group_size + 1;
      shape.tail_floats = groups * 2 * panel_columns;
    } else if (whole_row) {
      shape.groups = storage.zero_points ? 1 : 0;
    } else {
      shape.groups = static_cast<std::int32_t>(std::max<std::int64_t>(record_k / group_size, 1));
    }
    shape.bytes = header_bytes(shape) + runs * code_bytes;
    return shape;
  }

  static void pack(std::byte* panel, const RecordShape& shape, const quant::WeightMatrix& matrix, const PanelRows& rows,
                   float* column_scales) {
    for_columns(column_scales, rows, [&](std::int64_t row) { return is_scaled(shape) ? 1.0F : matrix.scale(row, 0); });
    PanelGroups scales(matrix.stored_scales(), rows);
    PanelGroups zeros(matrix.stored_zero_points(), rows);
    for (std::int64_t k = 0; k < matrix.columns; k += record_k, panel += shape.bytes) {
      if (shape.group_index) {
        pack_group_index(panel, shape, matrix, k);
      } else {
        pack_scales(panel, shape, matrix, k, scales, zeros);
      }
      pack_codes(panel + header_bytes(shape), shape, matrix, rows, k);
    }
  }

  static void pack_tail(float* shared, const RecordShape& shape, const quant::WeightMatrix& matrix,
                        const PanelRows& rows) {
    const std::int64_t groups = shape.tail_floats / (2 * panel_columns);
    for (std::int64_t group = 0; group < groups; ++group, shared += 2 * panel_columns) {
      for (std::size_t column = 0; column < rows.size(); ++column) {
        const bool is_there = rows[column] >= 0 && group < matrix.groups();
        shared[column] = is_there ? matrix.scale(rows[column], group) : 0.0F;
        shared[panel_columns + column] = is_there ? static_cast<float>(matrix.zero(rows[column], group)) : 0.0F;
      }
    }
  }

  static void unpack(const std::byte* packed, std::int64_t records, const RecordShape& shape, const float* tail,
                     std::byte* out) noexcept {
    if constexpr (std::same_as<Element, float>) {
      if (!shape.group_index) {
        store_numbers<IntGroupCodec>(packed, records, shape, out);
        return;
      }
    }
    for (; records > 0; --records, packed += shape.bytes) {
      const Parts parts(packed, shape);
      if (shape.group_index) {
        for (std::int64_t run = 0; run < runs; ++run, out += run_bytes<Element>) {
          unpack_indexed(packed + run * run_k * 2, parts.codes(run), tail, out);
        }
        continue;
      }
      const std::int64_t count = parts.runs_of_group();
      for (std::int64_t run = 0; run < runs; run += count, out += count * run_bytes<Element>) {
        unpack_group(parts.codes(run), count, parts.group_of_run(run), out);
      }
    }
  }

 private:
  /// The scales and zero points of some runs of a record.
  struct Group {
    const std::byte* scales;
    const std::uint8_t* zeros;  ///< nullptr: codes have the symmetric zero
    DType type;

    /// 32 numbers of each.
    void as_floats(float* scale, float* zero) const noexcept {
      for (std::int64_t column = 0; column < panel_columns; ++column) {
        scale[column] = scales == nullptr ? 1.0F : load_as_float(scales, type, column);
        zero[column] = zeros == nullptr ? static_cast<float>(symmetric_zero) : static_cast<float>(zeros[column]);
      }
    }

    /// Those of vector `v` of a row of columns.
    template <class V>
    [[gnu::always_inline]] V scale_vector(std::int64_t v) const noexcept {
      if (scales == nullptr) return V(1.0F);
      const std::int64_t column = v * static_cast<std::int64_t>(vector::width<V>);
      return visit_floating_dtype(
          type, [&]<class T>() { return vector::load<V>(reinterpret_cast<const T*>(scales) + column); });
    }
    template <class V>
    [[gnu::always_inline]] V zero_vector(std::int64_t v) const noexcept {
      if (zeros == nullptr) return V(symmetric_zero);
      return to_number<V>(load_bytes<V>(zeros + v * static_cast<std::int64_t>(vector::width<V>)));
    }

#if defined(POLYMOE_HAS_AVX512_CODES)
    [[gnu::always_inline]] __m512 scale(std::int64_t half) const noexcept {
      return scale_vector<vector::Native>(half);
    }
    [[gnu::always_inline]] __m512 zero(std::int64_t half) const noexcept {
      return zero_vector<vector::Native>(half);
    }
#endif
  };

  /// The parts of a record: what depends on its shape is computed once.
  class Parts {
   public:
    Parts(const std::byte* record, const RecordShape& shape) noexcept
        : record_(record),
          codes_(record + header_bytes(shape)),
          scale_bytes_(scale_bytes(shape)),
          groups_(shape.groups),
          type_(shape.scale),
          zero_points_(shape.zero_points) {}

    bool has_zero_points() const noexcept { return zero_points_; }
    /// Those that belong together, where there is no group, too.
    std::int64_t runs_of_group() const noexcept { return runs / std::max<std::int64_t>(groups_, 1); }
    const std::byte* codes(std::int64_t run) const noexcept { return codes_ + run * code_bytes; }

    Group group(std::int64_t index) const noexcept {
      const auto* const zeros = reinterpret_cast<const std::uint8_t*>(record_ + groups_ * scale_bytes_);
      return {.scales = groups_ == 0 ? nullptr : record_ + index * scale_bytes_,
              .zeros = zero_points_ ? zeros + index * panel_columns : nullptr,
              .type = type_};
    }
    Group group_of_run(std::int64_t run) const noexcept { return group(run * groups_ / runs); }

   private:
    const std::byte* record_;
    const std::byte* codes_;
    std::int64_t scale_bytes_;
    std::int64_t groups_;
    DType type_;
    bool zero_points_;
  };

 public:
  /// A record as numbers: NumbersCodec.
  template <class V>
  class Numbers {
    using Codes = std::conditional_t<bits == 4, Int4Numbers, Int8Numbers>;

   public:
    static constexpr float unit = Codes::template unit<V>;
    static constexpr bool has_scales = true;
    static constexpr bool serves(const RecordShape& shape) noexcept { return !shape.group_index; }
    std::int64_t steps_of_group() const noexcept { return parts_.runs_of_group() * (run_k / step_of_numbers); }

    Numbers(const std::byte* record, const RecordShape& shape) noexcept : parts_(record, shape) {}

    template <class F>
    [[gnu::always_inline]] void for_step(std::int64_t step, F f) const noexcept {
      const std::byte* const codes = parts_.codes(step / 2);
      if (!parts_.has_zero_points()) return Codes::template for_step<V>(codes, step % 2, f);
      V zeros[vectors_of_row<V>];
      const Group group = parts_.group_of_run(step / 2);
      for (std::int64_t v = 0; v < vectors_of_row<V>; ++v) {
        zeros[v] = group.template zero_vector<V>(v) - V(symmetric_zero);
      }
      const auto take_off_zero = [&](std::int64_t k, std::int64_t v, V number) __attribute__((always_inline)) {
        f(k, v, number - zeros[v]);
      };
      Codes::template for_step<V>(codes, step % 2, take_off_zero);
    }
    [[gnu::always_inline]] V scale(std::int64_t step, std::int64_t v) const noexcept {
      return parts_.group_of_run(step / 2).template scale_vector<V>(v);
    }

   private:
    Parts parts_;
  };

 private:
  static constexpr bool is_int4 = bits == 4;
  static constexpr std::int64_t runs = record_k / run_k;
  static constexpr std::int64_t code_bytes = is_int4 ? run_codes / 2 : run_codes;
  static constexpr std::uint8_t symmetric_zero = is_int4 ? 8 : 128;
  static constexpr const CodeOrder& order = std::same_as<Element, float>
                                                ? (is_int4 ? code_order::f32_nibbles : code_order::f32_bytes)
                                                : (is_int4 ? code_order::bf16_nibbles : code_order::bf16_bytes);

  /// int8 codes are kept less 128, as signed numbers.
  static constexpr bool is_signed = !is_int4;
  static constexpr std::uint8_t stored(std::uint8_t code) noexcept {
    return is_signed ? static_cast<std::uint8_t>(code ^ 0x80U) : code;
  }

  static constexpr bool is_scaled(const RecordShape& shape) {
    return shape.groups > 0 || shape.group_index;
  }

  static constexpr std::int64_t scale_bytes(const RecordShape& shape) {
    return panel_columns * static_cast<std::int64_t>(size_of(shape.scale));
  }

  static constexpr std::int64_t header_bytes(const RecordShape& shape) {
    if (shape.group_index) return record_k * 2;
    const std::int64_t bytes_of_group = scale_bytes(shape) + (shape.zero_points ? panel_columns : 0);
    return (shape.groups * bytes_of_group + 63) / 64 * 64;
  }

  // ---- packing

  static void pack_group_index(std::byte* record, const RecordShape& shape, const quant::WeightMatrix& matrix,
                               std::int64_t k) {
    const std::int64_t none = shape.tail_floats / (2 * panel_columns) - 1;
    for (std::int64_t i = 0; i < record_k; ++i) {
      const auto group = static_cast<std::uint16_t>(k + i < matrix.columns ? matrix.group_of(k + i) : none);
      std::memcpy(record + i * 2, &group, sizeof group);
    }
  }

  static void pack_scales(std::byte* record, const RecordShape& shape, const quant::WeightMatrix& matrix,
                          std::int64_t k, PanelGroups& scales, PanelGroups& zeros) {
    std::byte* const to_zeros = record + shape.groups * scale_bytes(shape);
    for (std::int64_t group = 0; group < shape.groups; ++group) {
      const std::int64_t first = k + group * record_k / shape.groups;
      std::byte* const to = record + group * scale_bytes(shape);
      if (first >= matrix.columns) {
        std::memset(to, 0, static_cast<std::size_t>(scale_bytes(shape)));
        if (shape.zero_points) std::memset(to_zeros + group * panel_columns, 0, panel_columns);
        continue;
      }
      const std::int64_t of_row = matrix.group_of(first);
      convert_scales(to, shape.scale, scales.of(of_row), matrix.tensors.weight_scale.dtype);
      if (shape.zero_points) std::memcpy(to_zeros + group * panel_columns, zeros.of(of_row), panel_columns);
    }
  }

  /// W13's scales and W2's may be of different types.
  static void convert_scales(std::byte* to, DType type, const std::byte* from, DType stored) {
    visit_floating_dtype(type, [&]<class To>() {
      visit_floating_dtype(stored, [&]<class From>() {
        constexpr auto width = static_cast<std::int64_t>(vector::width<vector::Native>);
        for (std::int64_t i = 0; i < panel_columns; i += width) {
          vector::store(reinterpret_cast<To*>(to) + i,
                        vector::load<vector::Native>(reinterpret_cast<const From*>(from) + i));
        }
      });
    });
  }

  static void pack_codes(std::byte* codes, const RecordShape& shape, const quant::WeightMatrix& matrix,
                         const PanelRows& rows, std::int64_t k) {
    const auto none = static_cast<std::byte>(shape.zero_points ? 0 : in_each_code(symmetric_zero));
    PanelLines lines;
    for (std::int64_t run = 0; run < runs; ++run, codes += code_bytes) {
      const std::int64_t of_lines = run % runs_of_lines<bits>;
      if (of_lines == 0) {
        const std::int64_t first = k + run * run_k;
        read_codes(lines, matrix, rows, first, none);
        if (shape.zero_points) clear_padding(lines, matrix, rows, first);
        if constexpr (is_signed) lines.change([](std::uint64_t code) { return code ^ each_byte(0x80); });
      }
      store_run<order, bits>(codes, lines, of_lines);
    }
  }

  static constexpr std::uint8_t in_each_code(std::int32_t code) noexcept {
    return static_cast<std::uint8_t>(is_int4 ? code * 0x11 : code);
  }

  /// Beyond the last column of the matrix, up to the end of its run, a code is its group's zero point.
  static void clear_padding(PanelLines& lines, const quant::WeightMatrix& matrix, const PanelRows& rows,
                            std::int64_t k) {
    const std::int64_t present = matrix.columns - k;
    if (present <= 0 || present >= runs_of_lines<bits> * run_k || present % run_k == 0) return;
    const std::int64_t first = present * bits / 8;
    const std::int64_t last = (present / run_k + 1) * run_line_bytes<bits>;
    const std::int64_t group = matrix.group_of(matrix.columns - 1);
    for (std::size_t column = 0; column < rows.size(); ++column) {
      if (rows[column] < 0) continue;
      const auto zero = static_cast<std::byte>(in_each_code(matrix.zero(rows[column], group)));
      std::fill(lines.of_column[column] + first, lines.of_column[column] + last, zero);
    }
  }

  // ---- unpacking

  /// Weights of a record as integers times scales of groups.
  class GroupedIntegers {
   public:
    using Vector = vector::Native;
    static constexpr int groups_of_run = 1;
    static constexpr int most_rows = is_int4 ? most_rows_of_nibbles<Element> : 4;
    std::int64_t runs_of_group() const noexcept { return parts_.runs_of_group(); }
    static bool serves(const RecordShape& shape) noexcept { return !shape.group_index; }

    GroupedIntegers(const std::byte* record, const RecordShape& shape) noexcept : parts_(record, shape) {}

    [[gnu::always_inline]] void two_quads(std::int64_t run, int v, int pair,
                                          vector::Int<Vector>* quads) const noexcept {
      const std::byte* const codes = parts_.codes(run);
      if constexpr (is_int4) {
        layout::two_quads<Element, Vector>(codes, v, pair, quads);
      } else {
#if defined(POLYMOE_HAS_AVX512_CODES)
        const std::byte* const of_pair = codes + v * (code_bytes / 2) + pair * (code_bytes / 8);
        const vector::Int<Vector> sign(static_cast<std::int32_t>(0x80808080U));
        quads[0] = vector::Int<Vector>(avx512::quad_of_bytes(of_pair)) ^ sign;
        quads[1] = vector::Int<Vector>(avx512::quad_of_bytes(of_pair + 64)) ^ sign;
#endif
      }
    }
    [[gnu::always_inline]] Vector scale(std::int64_t run, int, int v) const noexcept {
      return parts_.group_of_run(run).template scale_vector<Vector>(v);
    }
    [[gnu::always_inline]] Vector zero(std::int64_t run, int, int v) const noexcept {
      return parts_.group_of_run(run).template zero_vector<Vector>(v);
    }

   private:
    Parts parts_;
  };

 public:
  using Integers =
      std::conditional_t<has_quads<Element> && (is_int4 || std::same_as<Element, bf16>), GroupedIntegers, void>;

 private:
#if defined(POLYMOE_HAS_AVX512_CODES)
 public:
  /// One group a record, and no zero points.
  static constexpr bool scales_records(const RecordShape& shape) noexcept {
    return shape.groups == 1 && !shape.zero_points && !shape.group_index;
  }
  /// Codes of a run of 32 K less their symmetric zero, exact in bf16, and the scales, which may multiply sums instead.
  static void unpack_numbers(const std::byte* packed, const RecordShape& shape, std::int64_t run,
                             std::byte* out) noexcept requires(sizeof(Element) == 2) {
    const std::byte* const codes = Parts(packed, shape).codes(run);
    if constexpr (is_int4) {
      unpack_integers(codes, out);
      unpack_integers(codes + code_bytes / 2, out + 1024);
    } else {
      avx512::unpack_int8(codes, run_codes, out);
    }
  }
  static void record_scales(const std::byte* packed, const RecordShape& shape, float* scales) noexcept {
    const Group group = Parts(packed, shape).group(0);
    _mm512_storeu_ps(scales, group.scale(0));
    _mm512_storeu_ps(scales + 16, group.scale(1));
  }

 private:
#endif

  /// Code by code: the group of each K from `index`, scales and zero points from the panel's tail.
  static void unpack_indexed(const std::byte* index, const std::byte* codes, const float* tail,
                             std::byte* out) noexcept {
    const auto* const from = reinterpret_cast<const std::uint8_t*>(codes);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const CodePlace place = order[i];
      const unsigned code = is_int4 ? from[i / 2] >> (i % 2 * 4) & 0xFU : from[i];
      const auto group = load_element<std::uint16_t>(index, place.k);
      const float* const scale = tail + group * 2 * panel_columns + place.column;
      const auto number = static_cast<float>(stored(static_cast<std::uint8_t>(code)));
      const Element element((number - scale[panel_columns]) * scale[0]);
      std::memcpy(out + element_place<Element>(place.column, place.k) * std::int64_t{sizeof(Element)}, &element,
                  sizeof element);
    }
  }

  /// The runs of one group.
  static void unpack_group(const std::byte* codes, std::int64_t count, const Group& group, std::byte* out) noexcept {
#if defined(POLYMOE_HAS_AVX512_CODES)
    if constexpr (std::same_as<Element, bf16>) {
      unpack_half(codes, count, group, 0, out);
      unpack_half(codes + code_bytes / 2, count, group, 1, out + 1024);
      return;
    }
#endif
    float scale[panel_columns];
    float zero[panel_columns];
    group.as_floats(scale, zero);
    for (; count > 0; --count, codes += code_bytes, out += run_bytes<Element>) {
      unpack_codes<order, is_int4, Element>(codes, out, [&](std::uint8_t code, std::int64_t column) {
        return (static_cast<float>(stored(code)) - zero[column]) * scale[column];
      });
    }
  }

#if defined(POLYMOE_HAS_AVX512_CODES)
  /// 16 columns of the runs of a group.
  [[gnu::always_inline]] static void unpack_half(const std::byte* codes, std::int64_t count, const Group& group,
                                                 std::int64_t half, std::byte* out) noexcept {
    const __m512 scale = group.scales == nullptr ? _mm512_set1_ps(1.0F) : group.scale(half);
    if constexpr (is_int4) {
      if (group.scales != nullptr && group.zeros == nullptr && Products::can_be_made(scale)) {
        const Products products(scale);
        for (; count > 0; --count, codes += code_bytes, out += run_bytes<Element>) products.unpack(codes, out);
        return;
      }
    }
    const avx512::RowScales scales(scale);
    const bool has_zeros = group.zeros != nullptr;
    // The symmetric zero is taken off first.
    const avx512::RowScales zeros(has_zeros ? _mm512_sub_ps(group.zero(half), _mm512_set1_ps(symmetric_zero))
                                            : _mm512_setzero_ps());
    for (; count > 0; --count, codes += code_bytes, out += run_bytes<Element>) {
      if constexpr (is_int4) {
        unpack_integers(codes, out);
        if (group.scales == nullptr) continue;
        for (std::int64_t r = 0; r < 16; ++r) {
          const auto* const row = reinterpret_cast<const __m256i*>(out + r * 64);
          const __m512 first = avx512::widen(_mm256_load_si256(row));
          const __m512 last = avx512::widen(_mm256_load_si256(row + 1));
          avx512::store(out + r * 64, product(first, last, zeros, scales));
        }
      } else {
        for (std::int64_t r = 0; r < 16; ++r) {
          const __m512 first = avx512::load_int8(codes + r * 32);
          const __m512 last = avx512::load_int8(codes + r * 32 + 16);
          avx512::store(out + r * 64, has_zeros ? product(first, last, zeros, scales)
                                                : avx512::to_bf16(_mm512_mul_ps(first, scales.first),
                                                                  _mm512_mul_ps(last, scales.last)));
        }
      }
    }
  }

  [[gnu::always_inline]] static __m512i product(__m512 first, __m512 last, const avx512::RowScales& zeros,
                                                const avx512::RowScales& scales) noexcept {
    return avx512::to_bf16(_mm512_mul_ps(_mm512_sub_ps(first, zeros.first), scales.first),
                           _mm512_mul_ps(_mm512_sub_ps(last, zeros.last), scales.last));
  }

  /// int4 codes less 8.
  [[gnu::always_inline]] static void unpack_integers(const std::byte* codes, std::byte* out) noexcept {
    avx512::look_up_nibbles(codes, 16, _mm512_setzero_si512(), out, integer_words);
  }

  // A code less 8 is +-{1, 1.25, 1.5, 1.75} * 2^x or 0. Of each of the four products with the scales of 16 columns,
  // rounded once, a table has what the word exceeds the scale's own word by: less than 128, so one byte, and 64 of them
  // are what one instruction looks up. Sign and x come from the code, and as in MxCodec the scale is what is missing to
  // `top`.
  static constexpr std::int32_t top = 251 << 7;

  class Products {
   public:
    /// All products are normal numbers.
    [[gnu::always_inline]] static bool can_be_made(__m512 scale) noexcept {
      return (_mm512_cmp_ps_mask(scale, _mm512_set1_ps(0x1p-126F), _CMP_GE_OQ) &
              _mm512_cmp_ps_mask(scale, _mm512_set1_ps(0x1p123F), _CMP_LT_OQ)) == 0xFFFF;
    }

    [[gnu::always_inline]] explicit Products(__m512 scale) noexcept {
      const __m512i of_1 = avx512::to_bf16(scale, _mm512_mul_ps(scale, _mm512_set1_ps(1.25F)));
      const __m512i of_1_5 =
          avx512::to_bf16(_mm512_mul_ps(scale, _mm512_set1_ps(1.5F)), _mm512_mul_ps(scale, _mm512_set1_ps(1.75F)));
      const __m512i own = _mm512_broadcast_i64x4(_mm512_castsi512_si256(of_1));
      const __m256i first = _mm512_cvtepi16_epi8(_mm512_sub_epi16(of_1, own));
      const __m256i last = _mm512_cvtepi16_epi8(_mm512_sub_epi16(of_1_5, own));
      exceeds_ = _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1);
      missing_ = avx512::twice_each(_mm512_sub_epi16(_mm512_set1_epi16(top), own));
    }

    [[gnu::always_inline]] void unpack(const std::byte* codes, std::byte* out) const noexcept {
      const __m512i factors = avx512::four_times(tables.factor);
      const __m512i high_bytes = avx512::four_times(tables.product_high);
      const __m512i columns = avx512::columns_of_codes<1>();
      const __m512i exceeds = exceeds_;
      avx512::unpack_nibbles(codes, 16, missing_, out, [&](__m512i code, __m512i& low, __m512i& high) {
        const __m512i factor = _mm512_permutexvar_epi8(code, factors);
        const __m512i exceeding = _mm512_permutexvar_epi8(_mm512_or_si512(factor, columns), exceeds);
        // exceeding | (factor & 0x80)
        low = _mm512_ternarylogic_epi32(exceeding, factor, _mm512_set1_epi8(-128), 0xF8);
        high = _mm512_permutexvar_epi8(code, high_bytes);
      });
    }

   private:
    __m512i exceeds_;  ///< [4 factors][16 columns]
    __m512i missing_;
  };

  static constexpr std::uint16_t word_of_integer(std::uint8_t code) {
    return bf16(static_cast<float>(code) - static_cast<float>(symmetric_zero)).bits;
  }
  static constexpr auto integer_words = avx512::WordBytes<16>::of(word_of_integer);

  struct Tables {
    alignas(16) std::array<std::uint8_t, 16> factor{};        ///< 16 * the index of the factor | lowest bit of x * 128
    alignas(16) std::array<std::uint8_t, 16> product_high{};  ///< sign | upper bits of `top` and x
  };
  static constexpr Tables tables = [] {
    Tables made;
    for (unsigned code = 0; code < 16; ++code) {
      const unsigned word = word_of_integer(static_cast<std::uint8_t>(code));
      const unsigned sign = word & 0x8000U;
      const unsigned exponent = code == 8 ? 0 : (word >> 7 & 0xFFU) - 127U;
      const unsigned factor = code == 8 ? 0 : word >> 5 & 3U;
      const unsigned result = code == 8 ? 0x8000U : sign | (top + (exponent << 7));
      made.factor[code] = static_cast<std::uint8_t>((factor << 4) | (result & 0x80U));
      made.product_high[code] = static_cast<std::uint8_t>(result >> 8);
    }
    return made;
  }();
#endif
};

static_assert(Codec<IntGroupCodec<bf16, 4>>);
static_assert(NumbersCodec<IntGroupCodec<float, 8>, vector::Native>);

}  // namespace polymoe::inline POLYMOE_ISA::layout
