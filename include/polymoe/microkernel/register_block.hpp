// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

/// Cuts a block's rows into runs of at most `Kernel::rows` whose sums fit the registers, and calls
/// Kernel::run<rows, accumulate>(activations, row step bytes, weights, steps, first sum of the run, bytes of a sums
/// tile, prefetcher) for each. Only the first run of a call paces the prefetcher: it is the one that meets new weights.
template <class Kernel, bool accumulate>
void run_register_blocks(const Block& block, Prefetcher& prefetcher) noexcept {
  const std::int64_t step_bytes = block.height * row_step_bytes;
  const std::int64_t runs = (block.height + Kernel::rows - 1) / Kernel::rows;
  const std::int64_t rows_of_run = (block.height + runs - 1) / runs;
  for (std::int64_t half = 0; half < (block.next_rows != 0 ? 2 : 1); ++half) {
    for (std::int64_t row = 0; row < block.height; row += rows_of_run) {
      const std::byte* const activations = block.activations + half * block.next_rows + row * row_step_bytes;
      std::byte* const sums = block.sums + half * 2 * step_bytes + row * row_step_bytes;
      const std::int64_t rows = std::min(rows_of_run, block.height - row);
      const bool first = half == 0 && row == 0;
      [&]<std::int64_t... n>(std::integer_sequence<std::int64_t, n...>) {
        static_cast<void>((
            (rows == n + 1 ? (Kernel::template run<n + 1, accumulate>(activations, step_bytes, block.weights,
                                                                      block.steps, sums, step_bytes, prefetcher, first),
                              true)
                           : false) ||
            ...));
      }
      (std::make_integer_sequence<std::int64_t, Kernel::rows>{});
    }
  }
}

/// What vector microkernels need before the first call: nothing.
struct NoSession {
  void set_height(std::int64_t) noexcept {}
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel
