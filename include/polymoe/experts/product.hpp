// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/target/isa_namespace.hpp"

// One product: activations of a chunk's rows times a run of panels, and the order in which those are read.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Finished sums of one panel and one or two blocks of rows.
struct PanelSums {
  microkernel::RowBlocks blocks;
  const std::byte* first = nullptr;  ///< [blocks][2][height][16] fp32
  std::int64_t panel = 0;
  std::int64_t first_block = 0;  ///< of the chunk
  std::int64_t first_row = 0;    ///< of the chunk
  std::int64_t rows = 0;         ///< without padding

  /// Calls f(row of the chunk, its block, its row in the block, 16 sums of the panel's first half, 16 of the second).
  template <class F>
  [[gnu::always_inline]] void for_rows(F f) const noexcept {
    const std::byte* tile = first;
    std::int64_t block = first_block;
    for (std::int64_t row = 0; row < rows; ++block, tile += 2 * blocks.sums_tile_bytes()) {
      const std::int64_t of_block = std::min(blocks.height, rows - row);
      const auto* left = reinterpret_cast<const float*>(tile);
      const auto* right = reinterpret_cast<const float*>(tile + blocks.sums_tile_bytes());
      for (std::int64_t i = 0; i < of_block; ++i, ++row, left += 16, right += 16) {
        f(first_row + row, block, i, left, right);
      }
    }
  }
};

/// Called with the finished sums of every panel and every one or two blocks of rows.
struct Finish {
  const void* context = nullptr;
  void (*function)(const void*, const PanelSums&) noexcept = nullptr;
};

struct Product {
  microkernel::RowBlocks blocks;
  const std::byte* activations = nullptr;
  std::int64_t steps = 0;             ///< K steps
  microkernel::WeightStream weights;  ///< the panels, in the order of reading
  microkernel::WeightStream next;     ///< what the worker reads afterwards
  std::int64_t first_panel = 0;
  layout::RecordShape record;
  const float* tails = nullptr;  ///< of the first panel
  std::int64_t tail_floats = 0;
  bool batch_invariant = false;  ///< a row's sums are the same bits beside any other rows
  Finish finish;
};

/// What a worker needs beside its registers.
template <class Microkernel>
struct WorkerMemory {
  std::byte* sums = nullptr;      ///< sums_limit bytes
  std::byte* unpacked = nullptr;  ///< one block of K steps

  /// Between one worker's memory and the next one's: the hardware prefetches what follows, in the next page, too, and
  /// would take the lines away from the core that writes them.
  static constexpr std::int64_t apart = 16 * 1024;

  // The sums of a group of panels live in L2 beside the activations of a K block.
  static constexpr std::int64_t sums_limit = 800 * 1024;
  static constexpr std::int64_t unpacked_bytes = Microkernel::block_steps * microkernel::weight_step_bytes;
};

/// Activations up to this size stay in L2 while panel after panel is multiplied; larger ones are read block by block of
/// K, each of which serves a group of panels.
inline constexpr std::int64_t resident_activation_bytes = 1280 * 1024;

template <class Microkernel, class Codec>
inline constexpr std::int64_t steps_of_record = Codec::record_k / microkernel::step_k<typename Microkernel::Element>;

/// The order in which a run of panels is read for `blocks` of rows.
template <class Microkernel, class Codec>
microkernel::WeightStream weight_stream(const layout::PanelMatrix& matrix, const std::byte* expert,
                                        std::int64_t first_panel, std::int64_t panels,
                                        const microkernel::RowBlocks& blocks) noexcept {
  const bool one_call = blocks.in_one_call();
  const std::int64_t records = one_call ? microkernel::stream_block_bytes / matrix.record.bytes
                                        : Microkernel::block_steps / steps_of_record<Microkernel, Codec>;
  const std::int64_t steps = matrix.depth / microkernel::step_k<typename Microkernel::Element>;
  const bool resident = blocks.bytes(steps) <= resident_activation_bytes;
  const std::int64_t group =
      one_call || resident ? 1 : WorkerMemory<Microkernel>::sums_limit / (blocks.sums_bytes() + 64);
  return {.first = matrix.panel(expert, first_panel),
          .panel_bytes = matrix.panel_bytes,
          .block_bytes = std::max<std::int64_t>(records, 1) * matrix.record.bytes,
          .panels = panels,
          .group = std::clamp<std::int64_t>(group, 1, std::max<std::int64_t>(panels, 1))};
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
