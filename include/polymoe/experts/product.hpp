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

/// From one panel's sums to those of the next one: a line off multiples of 4 KiB, because sums must not alias the loads
/// of weights.
constexpr std::int64_t sums_apart(const microkernel::RowBlocks& blocks) noexcept {
  return blocks.sums_bytes() + 64;
}

/// Finished sums of all rows and of one panel, or some that follow each other.
struct PanelSums {
  microkernel::RowBlocks blocks;
  const std::byte* first = nullptr;  ///< of each panel [blocks][2][height][16]
  std::int64_t panel = 0;
  std::int64_t panels = 1;

  /// Calls f(block, its first row, its rows, offset): 16 sums of the first half of panel p and the block's row i are at
  /// left(p, offset + 64 i), those of the second half at right(p, offset + 64 i).
  template <class F>
  [[gnu::always_inline]] void for_blocks(F f) const noexcept {
    for (std::int64_t block = 0; block * blocks.height < blocks.rows; ++block) {
      f(block, block * blocks.height, blocks.rows_in(block), 2 * block * blocks.sums_tile_bytes());
    }
  }

  /// Calls f(row, offset).
  template <class F>
  [[gnu::always_inline]] void for_rows(F f) const noexcept {
    for_blocks([&](std::int64_t, std::int64_t first_row, std::int64_t rows, std::int64_t offset) {
      for (std::int64_t i = 0; i < rows; ++i) f(first_row + i, offset + i * microkernel::row_step_bytes);
    });
  }

  const float* left(std::int64_t index, std::int64_t offset) const noexcept {
    return reinterpret_cast<const float*>(first + index * sums_apart(blocks) + offset);
  }
  const float* right(std::int64_t index, std::int64_t offset) const noexcept {
    return left(index, offset + blocks.sums_tile_bytes());
  }
};

/// Called with the finished sums of all panels.
struct Finish {
  const void* context = nullptr;
  void (*function)(const void*, const PanelSums&) noexcept = nullptr;
  std::int64_t panels = 1;  ///< the most that it takes at once: what it writes are longer runs then
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
  bool comes_in_fp32 = false;    ///< activations of the caller's that must not be rounded to fewer bits
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

/// All activations stay in L2 while panel after panel is multiplied.
inline bool activations_stay(const microkernel::RowBlocks& blocks, std::int64_t steps) noexcept {
  return blocks.bytes(steps) <= resident_activation_bytes;
}

/// The order in which a run of panels is read for `blocks` of rows.
template <class Microkernel, class Codec>
microkernel::WeightStream weight_stream(const layout::PanelMatrix& matrix, const std::byte* expert,
                                        std::int64_t first_panel, std::int64_t panels,
                                        const microkernel::RowBlocks& blocks) noexcept {
  const bool one_call = blocks.in_one_call();
  const std::int64_t records = one_call ? microkernel::stream_block_bytes / matrix.record.bytes
                                        : Microkernel::block_steps / steps_of_record<Microkernel, Codec>;
  const std::int64_t steps = matrix.depth / microkernel::step_k<typename Microkernel::Element>;
  const std::int64_t group =
      one_call || activations_stay(blocks, steps) ? 1 : WorkerMemory<Microkernel>::sums_limit / sums_apart(blocks);
  return {.first = matrix.panel(expert, first_panel),
          .panel_bytes = matrix.panel_bytes,
          .block_bytes = std::max<std::int64_t>(records, 1) * matrix.record.bytes,
          .panels = panels,
          .group = std::clamp<std::int64_t>(group, 1, std::max<std::int64_t>(panels, 1))};
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
