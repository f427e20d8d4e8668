// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/register_block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

// C[M x 32] += A[M x K] * B[K x 32], int8 quadruples -> int32 with vpdpbusd, exact.
// The instruction multiplies unsigned by signed bytes: activations are taken as a + 128, and 128 times the sums of the
// weights, which one more product a weight row gives, are taken off at the end.
// Registers: 2 M sums (M <= 8), 2 sums of weights, 2 weight rows, 1 broadcast activation quadruple.
// A step:    K += 64: 32 weight loads (2 KiB), 16 M broadcasts, 32 (M + 1) products at one or two a cycle.
// Bound:     by weight bytes from memory up to M = 8, by the products above.
struct Avx512Vnni {
  using Element = std::int8_t;
  using Vector = xsimd::batch<float, xsimd::avx512bw>;
  using Sum = std::int32_t;
  using Session = NoSession;
  static constexpr std::int64_t block_steps = 16;
  static constexpr std::int64_t prefetches_of_step = 1;
  static constexpr double flops_per_microsecond = 5e5;  ///< of one core, roughly
  static constexpr std::int64_t rows = 8;

  template <bool accumulate>
  static void multiply(const Block& block, Prefetcher& prefetcher) noexcept {
    run_register_blocks<Avx512Vnni, accumulate>(block, prefetcher);
  }

  template <std::int64_t m, bool accumulate>
  static void run(const std::byte* a, std::int64_t a_step, const std::byte* b, std::int64_t steps, std::byte* sums,
                  std::int64_t tile_bytes, Prefetcher& prefetcher, bool paces) noexcept {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(0x80));
    __m512i sum[m][2];
    __m512i weights[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        sum[i][half] =
            accumulate ? _mm512_loadu_si512(sums + half * tile_bytes + i * row_step_bytes) : _mm512_setzero_si512();
      }
    }
    for (std::int64_t step = 0; step < steps; ++step, a += a_step, b += weight_step_bytes) {
#pragma GCC unroll 4
      for (std::int64_t quadruple = 0; quadruple < 16; ++quadruple) {
        const __m512i left = _mm512_load_si512(b + quadruple * 64);
        const __m512i right = _mm512_load_si512(b + weight_tile_bytes + quadruple * 64);
        weights[0] = _mm512_dpbusd_epi32(weights[0], offset, left);
        weights[1] = _mm512_dpbusd_epi32(weights[1], offset, right);
        for (std::int64_t i = 0; i < m; ++i) {
          std::int32_t bits;
          std::memcpy(&bits, a + i * row_step_bytes + quadruple * 4, sizeof bits);
          const __m512i x = _mm512_xor_si512(_mm512_set1_epi32(bits), offset);
          sum[i][0] = _mm512_dpbusd_epi32(sum[i][0], x, left);
          sum[i][1] = _mm512_dpbusd_epi32(sum[i][1], x, right);
        }
      }
      if (paces) prefetcher.step();
    }
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t half = 0; half < 2; ++half) {
        _mm512_storeu_si512(sums + half * tile_bytes + i * row_step_bytes,
                            _mm512_sub_epi32(sum[i][half], weights[half]));
      }
    }
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
