// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "polymoe/execution/executor.hpp"
#include "polymoe/target/isa_namespace.hpp"

/// What accelerators' kernels want weights to look like. Nearly all of it is one idea: view a matrix of bytes as an
/// array of more dimensions and write these in another order.
namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// A matrix of bytes.
struct ByteMatrix {
  std::int64_t rows = 0;
  std::int64_t columns = 0;  ///< bytes of a row

  constexpr std::int64_t bytes() const { return rows * columns; }
  bool operator==(const ByteMatrix&) const = default;
};

/// One dimension of the result and how far apart its elements lie in the source, in bytes; negative runs backwards.
struct Axis {
  std::int64_t extent = 1;
  std::int64_t source_stride = 0;
};

/// A permutation of runs of bytes: the result is written in order, axis by axis, the last one fastest, and each element
/// is a run of `run` bytes that are neighbours in both.
struct Relayout {
  static constexpr int max_rank = 8;

  std::array<Axis, max_rank> axes{};
  int rank = 0;
  std::int64_t offset = 0;  ///< of the first run in the source
  std::int64_t run = 1;

  constexpr Relayout(std::initializer_list<Axis> dimensions, std::int64_t run_bytes, std::int64_t first = 0)
      : offset(first), run(run_bytes) {
    for (const Axis& axis : dimensions) axes[static_cast<std::size_t>(rank++)] = axis;
  }

  constexpr std::int64_t runs() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= axes[static_cast<std::size_t>(i)].extent;
    return product;
  }

  constexpr std::int64_t bytes() const { return runs() * run; }

  /// Where run `index` of the result lies in the source.
  constexpr std::int64_t source_of(std::int64_t index) const {
    std::int64_t source = offset;
    for (int i = rank - 1; i >= 0; --i) {
      const Axis& axis = axes[static_cast<std::size_t>(i)];
      source += index % axis.extent * axis.source_stride;
      index /= axis.extent;
    }
    return source;
  }
};

enum class Direction { forward, inverse };

namespace detail {

/// Where the runs of a plan's innermost axes lie beside the first of them: a table that serves every such block.
struct InnerBlock {
  static constexpr std::int64_t most_runs = 4096;  ///< 32 KiB of offsets

  std::vector<std::int64_t> offsets{};

  explicit InnerBlock(const Relayout& plan) {
    std::int64_t runs = 1;
    for (int i = plan.rank - 1; i >= 0; --i) {
      const std::int64_t extent = plan.axes[static_cast<std::size_t>(i)].extent;
      if (runs * extent > most_runs) break;
      runs *= extent;
    }
    offsets.resize(static_cast<std::size_t>(runs));
    for (std::int64_t run = 0; run < runs; ++run) {
      offsets[static_cast<std::size_t>(run)] = plan.source_of(run) - plan.offset;
    }
  }

  std::int64_t runs() const { return static_cast<std::int64_t>(offsets.size()); }
};

/// Copies a block of runs; `run` 0 is a size that only the plan knows.
template <Direction direction, std::int64_t run>
void copy_block(const InnerBlock& block, std::int64_t run_bytes, const std::byte* in, std::byte* out) noexcept {
  const std::int64_t size = run == 0 ? run_bytes : run;  // a constant is one load and one store
  const std::int64_t* const offsets = block.offsets.data();
  for (std::int64_t i = 0; i < block.runs(); ++i) {
    if constexpr (direction == Direction::forward) {
      std::memcpy(out + i * size, in + offsets[i], static_cast<std::size_t>(size));
    } else {
      std::memcpy(out + offsets[i], in + i * size, static_cast<std::size_t>(size));
    }
  }
}

template <Direction direction>
auto block_copier(std::int64_t run) noexcept {
  switch (run) {
    case 1: return copy_block<direction, 1>;
    case 2: return copy_block<direction, 2>;
    case 4: return copy_block<direction, 4>;
    case 8: return copy_block<direction, 8>;
    case 16: return copy_block<direction, 16>;
    case 32: return copy_block<direction, 32>;
    case 64: return copy_block<direction, 64>;
    case 128: return copy_block<direction, 128>;
    default: return copy_block<direction, 0>;
  }
}

}  // namespace detail

/// Writes `plan.bytes()` bytes: the permuted source, or (inverse) the source of a permuted array. The memories must not
/// overlap. Work is cut into pieces of some tens of KiB, so one expert's matrix keeps all workers busy. Allocates a
/// table of offsets: this is load time.
template <Direction direction = Direction::forward, Executor E>
void relayout(const Relayout& plan, const std::byte* in, std::byte* out, E& executor) {
  constexpr std::int64_t piece_bytes = std::int64_t{32} << 10;
  if (plan.runs() == 0) return;
  const detail::InnerBlock block(plan);
  const std::int64_t blocks = plan.runs() / block.runs();
  const std::int64_t block_bytes = block.runs() * plan.run;
  const std::int64_t piece = std::max<std::int64_t>(1, piece_bytes / block_bytes);
  const auto copy = detail::block_copier<direction>(plan.run);
  executor.parallel_for((blocks + piece - 1) / piece, [&](std::int64_t p, int) {
    for (std::int64_t b = p * piece; b < std::min(blocks, (p + 1) * piece); ++b) {
      const std::int64_t dense = b * block_bytes;
      const std::int64_t permuted = plan.source_of(b * block.runs());
      copy(block, plan.run, in + (direction == Direction::forward ? permuted : dense),
           out + (direction == Direction::forward ? dense : permuted));
    }
  });
}

/// Rows become columns, element by element, in squares that stay in the cache.
template <std::int64_t element, Executor E>
void transpose(const ByteMatrix& m, const std::byte* in, std::byte* out, E& executor) {
  constexpr std::int64_t side = 64;
  const std::int64_t columns = m.columns / element;
  executor.parallel_for((columns + side - 1) / side, [&](std::int64_t block, int) {
    const std::int64_t end = std::min(columns, (block + 1) * side);
    for (std::int64_t r0 = 0; r0 < m.rows; r0 += side) {
      for (std::int64_t c = block * side; c < end; ++c) {
        for (std::int64_t r = r0; r < std::min(m.rows, r0 + side); ++r) {
          std::memcpy(out + (c * m.rows + r) * element, in + r * m.columns + c * element, element);
        }
      }
    }
  });
}

/// Copies a matrix into a larger one; what is new is zero.
template <Executor E>
void pad(const ByteMatrix& from, const ByteMatrix& to, const std::byte* in, std::byte* out, E& executor) {
  executor.parallel_for(to.rows, [&](std::int64_t r, int) {
    std::byte* const row = out + r * to.columns;
    const std::int64_t kept = r < from.rows ? from.columns : 0;
    std::copy_n(in + (kept > 0 ? r * from.columns : 0), kept, row);
    std::fill(row + kept, row + to.columns, std::byte{});
  });
}

/// The inverse of pad: copies the upper left corner.
template <Executor E>
void crop(const ByteMatrix& from, const ByteMatrix& to, const std::byte* in, std::byte* out, E& executor) {
  executor.parallel_for(
      to.rows, [&](std::int64_t r, int) { std::copy_n(in + r * from.columns, to.columns, out + r * to.columns); });
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
