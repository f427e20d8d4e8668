// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(__SSSE3__)
#define POLYMOE_HAS_DIGIT_PRODUCTS 1

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/exponent.hpp"
#include "polymoe/numeric/vector.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

/// Rows of which each number is three signed digits of 8 bits: experts/digit_rows.hpp.
struct DigitOperand {
  static constexpr std::int64_t digits = 3;

  const std::byte* bytes = nullptr;  ///< [runs][3 digits][rows][32 K]
  const float* sums = nullptr;       ///< [rows][sums_stride]: of each run, or of both halves of each
  std::int64_t sums_stride = 0;
  const std::int32_t* exponents = nullptr;
};

/// Sums of products of four bytes each: of weights, and of four bytes of a digit that are the same for all columns.
template <class V>
struct ByteProducts {
  using I = vector::Int<V>;

#if defined(__AVX512VNNI__)
  static constexpr bool is_one_instruction = vector::width<V> == 16;
#else
  static constexpr bool is_one_instruction = false;
#endif
  /// Pairs of quads that are added up at once: without the one instruction, in 16 bits as long as they fit.
  static constexpr int pairs = is_one_instruction ? 1 : 2;
  static constexpr int greatest_weight = 25;
  static_assert(is_one_instruction || 2 * pairs * 2 * greatest_weight * 128 <= INT16_MAX);

  [[gnu::always_inline]] static I add(I sum, const I (&weights)[2 * pairs], const std::byte* digits) noexcept {
#if defined(__AVX512VNNI__)
    if constexpr (is_one_instruction) {
#pragma GCC unroll 2
      for (int quad = 0; quad < 2 * pairs; ++quad) sum = _mm512_dpbusd_epi32(sum, weights[quad], four(digits, quad));
      return sum;
    }
#endif
    I words = multiply(weights[0], four(digits, 0));
#pragma GCC unroll 4
    for (int quad = 1; quad < 2 * pairs; ++quad) words = add_words(words, multiply(weights[quad], four(digits, quad)));
    return sum + add_neighbours(words);
  }

 private:
  [[gnu::always_inline]] static I four(const std::byte* digits, int quad) noexcept {
    std::int32_t bytes;
    std::memcpy(&bytes, digits + quad * 4, sizeof bytes);
    return I(bytes);
  }

  // Of each integer two sums of two products, and what becomes of them.
  [[gnu::always_inline]] static I multiply(I weights, I digits) noexcept {
#if defined(__AVX512BW__)
    if constexpr (vector::width<V> == 16) return _mm512_maddubs_epi16(weights, digits);
#endif
#if defined(__AVX2__)
    if constexpr (vector::width<V> == 8) return _mm256_maddubs_epi16(weights, digits);
#endif
    if constexpr (vector::width<V> == 4) return _mm_maddubs_epi16(weights, digits);
  }
  [[gnu::always_inline]] static I add_words(I a, I b) noexcept {
#if defined(__AVX512BW__)
    if constexpr (vector::width<V> == 16) return _mm512_add_epi16(a, b);
#endif
#if defined(__AVX2__)
    if constexpr (vector::width<V> == 8) return _mm256_add_epi16(a, b);
#endif
    if constexpr (vector::width<V> == 4) return _mm_add_epi16(a, b);
  }
  [[gnu::always_inline]] static I add_neighbours(I words) noexcept {
#if defined(__AVX512BW__)
    if constexpr (vector::width<V> == 16) return _mm512_madd_epi16(words, _mm512_set1_epi16(1));
#endif
#if defined(__AVX2__)
    if constexpr (vector::width<V> == 8) return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
#endif
    if constexpr (vector::width<V> == 4) return _mm_madd_epi16(words, _mm_set1_epi16(1));
  }
};

// C[rows x 32] = sum over groups of scale * (D[3 rows x K of the group] * (B - zero)[K x 32]), integers times integers.
// VNNI:   vpdpbusd has 64 products and goes through two ports, vdpbf16ps has 32 and takes both of them for two cycles.
//         Registers: 6 sums of integers for each row, 16 columns each, and 2 of fp32; nothing is stored but the latter.
//         A step (32 x 32): 16 vectors of weights, 48 products for each row, and for each group and half 8 instructions
//         to make fp32 of the integers, to take off zero points and to scale. One row in groups of 32: about 100
//         instructions on ports 0 and 5, 50 cycles (58 measured); memory takes 68 for 4 bits, 136 for 8. Each further
//         row 30 to 35.
//         Ceiling: that of reading, up to 1 row of 4 bits and 3 rows of 8 bits. From memory one row of mxfp4 takes 31 ns
//         a step, where 23 are the reads alone and 20 the products alone.
// Others: vpmaddubsw, three additions of 16 bits for four of them, and vpmaddwd with ones.
//         Registers: 3 sums of integers for each row and four vectors of weights, one vector of columns after the other.
//         A step on AVX2: 32 vectors of weights for 2.5 instructions each, 27 instructions for four of them and each row,
//         10 for each group and vector of columns. One row in groups of 32: 340 instructions on ports 0, 1 and 5, 112
//         cycles (110 to 125 measured), half of what fp32 takes; each further row 85 to 95. AVX-512 needs half of the
//         instructions and has two ports for them: 84 cycles (110 measured).
//         Ceiling: that of the instructions. Memory takes 60 of a clock of 2.3 GHz for 4 bits.
struct DigitProducts {
  /// Multiplies the records of a panel; `sums` is [2 halves][rows][16].
  template <layout::IntegerCodec Codec, int rows>
  static void multiply(const std::byte* packed, std::int64_t records, const layout::RecordShape& shape,
                       const DigitOperand& operand, float* sums, Prefetcher& prefetcher) noexcept {
    using Integers = typename Codec::Integers;
    using V = typename Integers::Vector;
    constexpr std::int64_t runs = Codec::record_k / layout::run_k;
    constexpr std::int64_t run_bytes = DigitOperand::digits * rows * layout::run_k;
    constexpr int vectors = layout::vectors_of_row<V>;
    constexpr int together = ByteProducts<V>::is_one_instruction ? vectors : 1;
    V total[vectors][rows];
    for (auto& of_vector : total) {
      for (V& sum : of_vector) sum = V(0.0F);
    }
    const std::byte* digits = operand.bytes;
    const float* row_sums = operand.sums;
    for (; records > 0; --records, packed += shape.bytes) {
      const Integers integers(packed, shape);
      const std::int64_t runs_of_group = integers.runs_of_group();
      for (std::int64_t run = 0; run < runs; run += runs_of_group) {
        for (std::int64_t i = 0; i < runs_of_group; ++i) prefetcher.step();
        for (int part = 0; part < Integers::groups_of_run; ++part, row_sums += runs_of_group) {
          for (int v = 0; v < vectors; v += together) {
            add_group<together, rows>(integers, run, part, v, digits, row_sums, operand.sums_stride, total + v);
          }
        }
        digits += runs_of_group * run_bytes;
      }
    }
    constexpr auto width = static_cast<int>(vector::width<V>);
    for (int v = 0; v < vectors; ++v) {
      const int column = v * width;
      float* const to = sums + column / tile_columns * rows * tile_columns + column % tile_columns;
      for (int row = 0; row < rows; ++row) {
        vector::store(to + row * tile_columns, total[v][row] * V(power_of_two(operand.exponents[row])));
      }
    }
  }

 private:
  /// Adds the products of a group, from run `run` on, for `vectors` vectors of columns from `first` on.
  template <int vectors, int rows, class Integers, class V = typename Integers::Vector>
  [[gnu::always_inline]] static void add_group(const Integers& integers, std::int64_t run, int part, int first,
                                               const std::byte* digits, const float* row_sums, std::int64_t sums_stride,
                                               V (*total)[rows]) noexcept {
    using Products = ByteProducts<V>;
    using I = vector::Int<V>;
    constexpr int pairs = 4 / Integers::groups_of_run;
    const std::int64_t runs_of_group = integers.runs_of_group();
    I sums[vectors][3][rows];
    for (auto& of_vector : sums) {
      for (auto& digit : of_vector) {
        for (I& row : digit) row = I(0);
      }
    }
    for (std::int64_t i = 0; i < runs_of_group; ++i, digits += 3 * rows * layout::run_k) {
#pragma GCC unroll 4
      for (int pair = part * pairs; pair < (part + 1) * pairs; pair += Products::pairs) {
        I weights[vectors][2 * Products::pairs];
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) {
#pragma GCC unroll 2
          for (int p = 0; p < Products::pairs; ++p) {
            integers.two_quads(run + i, first + v, pair + p, weights[v] + 2 * p);
          }
        }
#pragma GCC unroll 3
        for (int digit = 0; digit < 3; ++digit) {
#pragma GCC unroll 4
          for (int row = 0; row < rows; ++row) {
            const std::byte* const of_row = digits + (digit * rows + row) * layout::run_k + pair * 8;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) {
              sums[v][digit][row] = Products::add(sums[v][digit][row], weights[v], of_row);
            }
          }
        }
      }
    }
    float row_sum[rows];
    for (int row = 0; row < rows; ++row) {
      row_sum[row] = row_sums[row * sums_stride];
      for (std::int64_t i = 1; i < runs_of_group; ++i) row_sum[row] += row_sums[row * sums_stride + i];
    }
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      const V scale = integers.scale(run, part, first + v);
      const V zero = integers.zero(run, part, first + v);
#pragma GCC unroll 4
      for (int row = 0; row < rows; ++row) {
        const auto number = [&](int digit) { return layout::to_number<V>(sums[v][digit][row]); };
        V value = zero * V(-row_sum[row]);
        value = vector::multiply_add(number(2), V(0x1p-21F), value);
        value = vector::multiply_add(number(1), V(0x1p-13F), value);
        value = vector::multiply_add(number(0), V(0x1p-5F), value);
        total[v][row] = vector::multiply_add(value, scale, total[v][row]);
      }
    }
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
