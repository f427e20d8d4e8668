// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_AMX)

#include <immintrin.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "polymoe/microkernel/amx_tiles.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/ready_weights.hpp"
#include "polymoe/microkernel/stream.hpp"

// GCC's tile intrinsics paste their arguments into assembler: tile numbers are literals.

namespace polymoe::inline POLYMOE_ISA::microkernel {

// C[32 x 32] += A[32 x K] * B[K x 32] on AMX tiles, for any element: `Products` has the four products of a step.
// Tiles:  t0-t3 sums (2 x 2), t4 t5 activations, t6 t7 weights.
// A step: 64 bytes of K: 4 tile loads (4 KiB), 4 products of 16 cycles: 64 bytes a cycle, more than L2 gives (45-50
//         measured). So blocks of 16 steps, whose 32 KiB of weights stay in L1 while the activations of all rows pass
//         from L2 with tileloaddt1, which does not evict them; sums go through L2 once a block. In cache 0.77 of the
//         peak (0.87 without the sums), 0.82 with whole runs of K from L2.
// Few rows: up to 32 need 2 or 4 products for every 2 KiB of weights, read once, with tileloaddt1, too.
// Bound:  loads stand between products that use them, because tiles are hardly renamed: what waits holds up what
//         follows. From memory the time is that of the reads plus that of the products (docs/performance.md).
template <class Products>
struct AmxKernel {
  using Element = typename Products::Element;
  using Sum = typename Products::Sum;
  using Vector = xsimd::batch<float, xsimd::avx512bw>;
  static constexpr std::int64_t block_steps = 16;
  static constexpr double flops_per_microsecond = Products::flops_per_microsecond;

  /// Configures the tiles of this thread for blocks of `height` rows as long as it lives.
  using Session = AmxSession;
  /// Calls of the prefetcher in a step.
  static constexpr std::int64_t prefetches_of_step = 2;

  template <bool accumulate>
  static void multiply(const Block& block, Prefetcher& prefetcher) noexcept {
    ReadyWeights weights(block.weights);
    multiply<accumulate>(block, weights, prefetcher);
  }

  /// `weights.next()` is where the weights of the next step are.
  template <bool accumulate, class Weights>
  static void multiply(const Block& block, Weights& weights, Prefetcher& prefetcher) noexcept {
    // The tile intrinsics do not tell the compiler that they read and write memory.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (block.next_rows == 0) {
      one_block<accumulate>(block, weights, prefetcher);
    } else if (block.weights_stay) {
      two_blocks<accumulate, true>(block, weights, prefetcher);
    } else {
      two_blocks<accumulate, false>(block, weights, prefetcher);
    }
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

 private:
  template <bool accumulate, bool weights_stay, class Weights>
  static void two_blocks(const Block& block, Weights& weights, Prefetcher& prefetcher) noexcept {
    const std::byte* a0 = block.activations;
    const std::byte* a1 = a0 + block.next_rows;
    const std::int64_t a_step = block.height * row_step_bytes;
    std::byte* const sums = block.sums;
    const std::int64_t tile = a_step;
    if constexpr (accumulate) {
      _tile_stream_loadd(0, sums, 64);
      _tile_stream_loadd(1, sums + tile, 64);
      _tile_stream_loadd(2, sums + 2 * tile, 64);
      _tile_stream_loadd(3, sums + 3 * tile, 64);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    SpreadPrefetch<3> next_sums(block.next_sums, 4 * tile, block.steps);
    SpreadPrefetch<2> later(block.later_activations, block.later_bytes, block.steps);
    for (std::int64_t step = 0; step < block.steps; ++step) {
      const std::byte* const b = weights.next();
      if constexpr (weights_stay) {
        _tile_loadd(6, b, 64);
      } else {
        _tile_stream_loadd(6, b, 64);
      }
      _tile_stream_loadd(4, a0, 64);
      Products::product_0();
      prefetcher.step();
      if constexpr (weights_stay) {
        _tile_loadd(7, b + weight_tile_bytes, 64);
      } else {
        _tile_stream_loadd(7, b + weight_tile_bytes, 64);
      }
      Products::product_1();
      next_sums.step();
      _tile_stream_loadd(5, a1, 64);
      Products::product_2();
      later.step();
      prefetcher.step();
      Products::product_3();
      a0 += a_step;
      a1 += a_step;
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + tile, 64);
    _tile_stored(2, sums + 2 * tile, 64);
    _tile_stored(3, sums + 3 * tile, 64);
  }

  template <bool accumulate, class Weights>
  static void one_block(const Block& block, Weights& weights, Prefetcher& prefetcher) noexcept {
    const std::byte* a = block.activations;
    const std::int64_t a_step = block.height * row_step_bytes;
    if constexpr (accumulate) {
      _tile_loadd(0, block.sums, 64);
      _tile_loadd(1, block.sums + a_step, 64);
    } else {
      _tile_zero(0);
      _tile_zero(1);
    }
    for (std::int64_t step = 0; step < block.steps; ++step) {
      const std::byte* const b = weights.next();
      _tile_loadd(4, a, 64);
      _tile_stream_loadd(6, b, 64);
      Products::product_0();
      prefetcher.step();
      _tile_stream_loadd(7, b + weight_tile_bytes, 64);
      Products::product_1();
      prefetcher.step();
      a += a_step;
    }
    _tile_stored(0, block.sums, 64);
    _tile_stored(1, block.sums + a_step, 64);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
