// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_AVX512_CODES) && defined(__AVX512VNNI__)
#define POLYMOE_HAS_DIGIT_PRODUCTS 1

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/stream.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

/// Rows of which each number is three signed digits of 8 bits: experts/digit_rows.hpp.
struct DigitOperand {
  static constexpr std::int64_t digits = 3;

  const std::byte* bytes = nullptr;  ///< [steps][3 digits][rows][32 K]
  const float* sums = nullptr;       ///< [rows][sums_stride]: of each step, or of both halves of each
  std::int64_t sums_stride = 0;
  const std::int32_t* exponents = nullptr;
};

// C[rows x 32] = sum over groups of scale * (D[3 rows x K of the group] * (B - zero)[K x 32]), integers times integers:
// vpdpbusd has 64 products and goes through two ports, vdpbf16ps has 32 and takes both of them for two cycles.
// Registers: 6 sums of integers for each row, 16 columns each, and 2 of fp32; nothing is stored but the latter.
// A step (32 x 32): 16 vectors of weights, 48 products for each row, and for each group and half 8 instructions to make
//         fp32 of the integers, to take off zero points and to scale. One row in groups of 32: about 100 instructions
//         on ports 0 and 5, 50 cycles (58 measured); memory takes 68 for 4 bits, 136 for 8. Each further row 30 to 35.
// Ceiling: that of reading, up to 1 row of 4 bits and 3 rows of 8 bits. From memory one row of mxfp4 takes 31 ns a step,
//         where 23 are the reads alone and 20 the products alone.
struct DigitProducts {
  /// Multiplies the records of a panel; `sums` is [2 halves][rows][16].
  template <layout::IntegerCodec Codec, int rows>
  static void multiply(const std::byte* packed, std::int64_t records, const layout::RecordShape& shape,
                       const DigitOperand& operand, float* sums, Prefetcher& prefetcher) noexcept {
    using Integers = typename Codec::Integers;
    constexpr std::int64_t runs = Codec::record_k / layout::run_k;
    constexpr std::int64_t step_bytes = DigitOperand::digits * rows * layout::run_k;
    __m512 total[2][rows];
    for (int row = 0; row < rows; ++row) total[0][row] = total[1][row] = _mm512_setzero_ps();
    const std::byte* digits = operand.bytes;
    const float* row_sums = operand.sums;
    for (; records > 0; --records, packed += shape.bytes) {
      const Integers integers(packed, shape);
      const std::int64_t runs_of_group = integers.runs_of_group();
      for (std::int64_t run = 0; run < runs; run += runs_of_group) {
        for (std::int64_t i = 0; i < runs_of_group; ++i) prefetcher.step();
        for (int part = 0; part < Integers::groups_of_run; ++part, row_sums += runs_of_group) {
          add_group<rows>(integers, run, part, digits, row_sums, operand.sums_stride, total);
        }
        digits += runs_of_group * step_bytes;
      }
    }
    for (int half = 0; half < 2; ++half) {
      for (int row = 0; row < rows; ++row, sums += 16) {
        const __m512 exponent = _mm512_set1_ps(static_cast<float>(operand.exponents[row]));
        _mm512_storeu_ps(sums, _mm512_scalef_ps(total[half][row], exponent));
      }
    }
  }

 private:
  /// Adds the products of a group, from run `run` on.
  template <int rows, class Integers>
  [[gnu::always_inline]] static void add_group(const Integers& integers, std::int64_t run, int part,
                                               const std::byte* digits, const float* row_sums, std::int64_t sums_stride,
                                               __m512 (&total)[2][rows]) noexcept {
    constexpr int pairs = 4 / Integers::groups_of_run;
    const std::int64_t runs_of_group = integers.runs_of_group();
    __m512i sums[2][3][rows];
    for (auto& half : sums) {
      for (auto& digit : half) {
        for (auto& row : digit) row = _mm512_setzero_si512();
      }
    }
    for (std::int64_t i = 0; i < runs_of_group; ++i, digits += 3 * rows * layout::run_k) {
#pragma GCC unroll 4
      for (int pair = part * pairs; pair < (part + 1) * pairs; ++pair) {
        __m512i weights[2][2];
        integers.two_quads(run + i, 0, pair, weights[0]);
        integers.two_quads(run + i, 1, pair, weights[1]);
#pragma GCC unroll 2
        for (int quad = 0; quad < 2; ++quad) {
#pragma GCC unroll 3
          for (int digit = 0; digit < 3; ++digit) {
#pragma GCC unroll 4
            for (int row = 0; row < rows; ++row) {
              const std::byte* const four = digits + (digit * rows + row) * layout::run_k + pair * 8 + quad * 4;
              const __m512i of_all = _mm512_set1_epi32(*reinterpret_cast<const int*>(four));
              __m512i& left = sums[0][digit][row];
              __m512i& right = sums[1][digit][row];
              left = _mm512_dpbusd_epi32(left, weights[0][quad], of_all);
              right = _mm512_dpbusd_epi32(right, weights[1][quad], of_all);
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
    for (int half = 0; half < 2; ++half) {
      const __m512 scale = integers.scale(run, part, half);
      const __m512 zero = integers.zero(run, part, half);
#pragma GCC unroll 4
      for (int row = 0; row < rows; ++row) {
        const auto number = [&](int digit) { return _mm512_cvtepi32_ps(sums[half][digit][row]); };
        __m512 value = _mm512_mul_ps(zero, _mm512_set1_ps(row_sum[row]));
        value = _mm512_fmsub_ps(number(2), _mm512_set1_ps(0x1p-22F), value);
        value = _mm512_fmadd_ps(number(1), _mm512_set1_ps(0x1p-14F), value);
        value = _mm512_fmadd_ps(number(0), _mm512_set1_ps(0x1p-6F), value);
        total[half][row] = _mm512_fmadd_ps(value, scale, total[half][row]);
      }
    }
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
