// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(__AVX512BF16__) && defined(__AVX512BW__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/register_block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

// C[M x 32] += A[M x K] * B[K x 32], bf16 pairs -> fp32 with vdpbf16ps (subnormal operands read as zeros).
// Registers: 2 M sums (M <= 8), 2 weight rows, 1 broadcast activation pair.
// A step:    K += 32: 32 weight loads (2 KiB), 16 M broadcasts, 32 M products at one or two a cycle.
// Bound:     by weight bytes from memory up to M = 8, by the products above; the sums need 3 rows to hide their
// latency.
struct Avx512Bf16 {
  using Element = bf16;
  using Vector = xsimd::batch<float, xsimd::avx512bw>;
  using Sum = float;
  using Session = NoSession;
  static constexpr std::int64_t block_steps = 16;
  static constexpr std::int64_t prefetches_of_step = 1;
  static constexpr double flops_per_microsecond = 2.5e5;  ///< of one core, roughly
  static constexpr std::int64_t rows = 8;

  template <bool accumulate>
  static void multiply(const Block& block, Prefetcher& prefetcher) noexcept {
    run_register_blocks<Avx512Bf16, accumulate>(block, prefetcher);
  }

  template <std::int64_t m, bool accumulate>
  static void run(const std::byte* a, std::int64_t a_step, const std::byte* b, std::int64_t steps, std::byte* sums,
                  std::int64_t tile_bytes, Prefetcher& prefetcher, bool paces) noexcept {
    __m512 sum[m][2];
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        sum[i][half] =
            accumulate ? _mm512_loadu_ps(sums + half * tile_bytes + i * row_step_bytes) : _mm512_setzero_ps();
      }
    }
    for (std::int64_t step = 0; step < steps; ++step, a += a_step, b += weight_step_bytes) {
#pragma GCC unroll 4
      for (std::int64_t pair = 0; pair < 16; ++pair) {
        const auto left = (__m512bh)_mm512_load_si512(b + pair * 64);
        const auto right = (__m512bh)_mm512_load_si512(b + weight_tile_bytes + pair * 64);
        for (std::int64_t i = 0; i < m; ++i) {
          std::int32_t bits;
          std::memcpy(&bits, a + i * row_step_bytes + pair * 4, sizeof bits);
          const auto x = (__m512bh)_mm512_set1_epi32(bits);
          sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, left);
          sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, right);
        }
      }
      if (paces) prefetcher.step();
    }
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        _mm512_storeu_ps(sums + half * tile_bytes + i * row_step_bytes, sum[i][half]);
      }
    }
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
