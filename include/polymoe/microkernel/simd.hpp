// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <xsimd/xsimd.hpp>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/register_block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

// C[M x 32] += A[M x K] * B[K x 32] in fp32 on vectors of an xsimd architecture.
// Registers: M * 32 / width sums, 32 / width weights, 1 broadcast: 16 + 3 of 32 with AVX-512 (M = 8), 12 + 4 of 16 with
//            AVX2 (M = 3, the broadcast is an operand in memory), 8 + 2 with SSE (M = 1).
// A step:    K += 16: 2 KiB of weights, 16 M broadcasts and 16 M * 32 / width FMAs, two a cycle at best.
// Bound:     by bytes from memory for one register block of rows, by the FMAs above.
template <class Arch>
struct Simd {
  using Element = float;
  using Vector = xsimd::batch<float, Arch>;
  using Sum = float;
  using Session = NoSession;
  static constexpr std::int64_t block_steps = 16;
  static constexpr std::int64_t prefetches_of_step = 1;
  static constexpr double flops_per_microsecond = 8e3 * Vector::size;  ///< of one core, roughly
  static constexpr std::int64_t width = static_cast<std::int64_t>(Vector::size);
  static constexpr std::int64_t vectors_of_half = tile_columns / width;
  static constexpr std::int64_t rows = width == 16 ? 8 : width == 8 ? 3 : std::is_base_of_v<xsimd::neon, Arch> ? 3 : 1;

  template <bool accumulate>
  static void multiply(const Block& block, Prefetcher& prefetcher) noexcept {
    run_register_blocks<Simd, accumulate>(block, prefetcher);
  }

  template <std::int64_t m, bool accumulate>
  static void run(const std::byte* a, std::int64_t a_step, const std::byte* b, std::int64_t steps, std::byte* sums,
                  std::int64_t tile_bytes, Prefetcher& prefetcher, bool paces) noexcept {
    constexpr std::int64_t vectors = 2 * vectors_of_half;
    Vector sum[m][vectors];
    const auto sum_at = [&](std::int64_t i, std::int64_t v) {
      return reinterpret_cast<float*>(sums + v / vectors_of_half * tile_bytes + i * row_step_bytes) +
             v % vectors_of_half * width;
    };
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t v = 0; v < vectors; ++v) {
        sum[i][v] = accumulate ? Vector::load_unaligned(sum_at(i, v)) : Vector(0.0F);
      }
    }
    for (std::int64_t step = 0; step < steps; ++step, a += a_step, b += weight_step_bytes) {
      for (std::int64_t k = 0; k < tile_rows; ++k) {
        Vector weight[vectors];
        for (std::int64_t v = 0; v < vectors; ++v) {
          const std::byte* const row = b + v / vectors_of_half * weight_tile_bytes + k * 64;
          weight[v] = Vector::load_aligned(reinterpret_cast<const float*>(row) + v % vectors_of_half * width);
        }
        for (std::int64_t i = 0; i < m; ++i) {
          float x;
          std::memcpy(&x, a + i * row_step_bytes + k * 4, sizeof x);
          const Vector broadcast(x);
          for (std::int64_t v = 0; v < vectors; ++v) {
            sum[i][v] = vector::multiply_add(broadcast, weight[v], sum[i][v]);
          }
        }
      }
      if (paces) prefetcher.step();
    }
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t v = 0; v < vectors; ++v) sum[i][v].store_unaligned(sum_at(i, v));
    }
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel
