// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "polymoe/target/isa_namespace.hpp"

// What all microkernels have in common: they multiply a block of up to 32 activation rows by a block of a panel of 32
// weight columns, K step by K step.
//
// A K step is 64 bytes of an activation row: 16 fp32, 32 bf16 or 64 int8. Weights of a step are two tiles, one for each
// half of the panel, of 16 rows x 64 bytes: row r holds 4 bytes along K (1 fp32, 2 bf16, 4 int8) of each of 16 columns.
// Sums are fp32 (int32 for int8), one 16-column tile for each half of the panel and block of rows.

namespace polymoe::inline POLYMOE_ISA::microkernel {

inline constexpr std::int64_t panel_columns = 32;
inline constexpr std::int64_t tile_columns = 16;
inline constexpr std::int64_t tile_rows = 16;
inline constexpr std::int64_t row_step_bytes = 64;
inline constexpr std::int64_t weight_tile_bytes = 1024;
inline constexpr std::int64_t weight_step_bytes = 2 * weight_tile_bytes;

/// Elements of one K step.
template <class Element>
inline constexpr std::int64_t step_k = row_step_bytes / static_cast<std::int64_t>(sizeof(Element));

/// The most K steps of which all rows are stored together, where there are more than two blocks of rows.
inline constexpr std::int64_t steps_together = 16;

/// How a number of activation rows is cut into blocks of at most 16, all of the same height, which microkernels take
/// one (up to 16 rows) or two at a time, and how they are stored:
///
///     [runs of K steps][blocks][K steps of the run][height][64 bytes]
///
/// A run is all of K for one or two blocks, else 16 steps: what is multiplied by a block of weights is one run of bytes
/// then, which cannot fall into a few sets of a cache only, as blocks of a power of two of steps would.
struct RowBlocks {
  std::int64_t rows = 0;
  std::int64_t blocks = 0;
  std::int64_t height = 0;

  RowBlocks() = default;
  constexpr explicit RowBlocks(std::int64_t row_count) noexcept
      : rows(row_count),
        blocks(row_count <= tile_rows ? 1 : 2 * ((row_count + 2 * tile_rows - 1) / (2 * tile_rows))),
        height((row_count + blocks - 1) / blocks) {}

  std::int64_t blocks_at_a_time() const noexcept { return std::min<std::int64_t>(blocks, 2); }
  /// All rows pass with one reading of the weights, and their sums need not be left and taken up again.
  bool in_one_call() const noexcept { return blocks <= 2; }
  std::int64_t padded_rows() const noexcept { return blocks * height; }
  std::int64_t step_bytes() const noexcept { return height * row_step_bytes; }
  std::int64_t bytes(std::int64_t steps) const noexcept { return padded_rows() * steps * row_step_bytes; }

  /// Bytes from one block to the next at step `step` of `steps`.
  std::int64_t next_block(std::int64_t step, std::int64_t steps) const noexcept {
    return (in_one_call() ? steps : std::min(steps_together, steps - step / steps_together * steps_together)) *
           step_bytes();
  }

  /// Where step `step` of a block is stored.
  std::int64_t block_offset(std::int64_t block, std::int64_t step, std::int64_t steps) const noexcept {
    const std::int64_t first = in_one_call() ? 0 : step / steps_together * steps_together;
    return first * padded_rows() * row_step_bytes + block * next_block(step, steps) + (step - first) * step_bytes();
  }

  /// Where step `step` of row `row` is stored.
  std::int64_t offset(std::int64_t row, std::int64_t step, std::int64_t steps) const noexcept {
    return block_offset(row / height, step, steps) + row % height * row_step_bytes;
  }

  /// Rows of a block that are not padding.
  std::int64_t rows_in(std::int64_t block) const noexcept {
    return std::clamp(rows - block * height, std::int64_t{0}, height);
  }

  /// Bytes of one sums tile, and of all sums of a panel.
  constexpr std::int64_t sums_tile_bytes() const noexcept { return height * row_step_bytes; }
  constexpr std::int64_t sums_bytes() const noexcept { return 2 * blocks * sums_tile_bytes(); }
};

/// The most rows that RowBlocks adds to `rows`: fewer than one for each block.
constexpr std::int64_t padded_rows_bound(std::int64_t rows) {
  return rows + rows / tile_rows + 2;
}

/// One call of a microkernel.
struct Block {
  const std::byte* activations = nullptr;  ///< of the first block of rows, at the first step
  std::int64_t next_rows = 0;              ///< bytes to the second block of rows; 0: there is none
  std::int64_t height = 0;                 ///< rows of a block
  const std::byte* weights = nullptr;
  std::int64_t steps = 0;
  bool weights_stay = false;                     ///< another call reads the same weights
  std::byte* sums = nullptr;                     ///< [blocks of rows][2][height][16] fp32
  std::byte* next_sums = nullptr;                ///< those of the next call
  const std::byte* later_activations = nullptr;  ///< that later calls read
  std::int64_t later_bytes = 0;
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel
