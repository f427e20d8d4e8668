// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

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

/// Copies `count` runs of `run` bytes; the permuted side steps by `stride`, the other one is dense.
template <Direction direction, std::int64_t run>
void copy_runs(const std::byte* in, std::byte* out, std::int64_t count, std::int64_t stride) noexcept {
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (direction == Direction::forward) {
      std::memcpy(out + i * run, in + i * stride, static_cast<std::size_t>(run));
    } else {
      std::memcpy(out + i * stride, in + i * run, static_cast<std::size_t>(run));
    }
  }
}

template <Direction direction>
void copy_runs(const std::byte* in, std::byte* out, std::int64_t run, std::int64_t count,
               std::int64_t stride) noexcept {
  switch (run) {  // a constant size is one load and one store of a register
    case 1: return copy_runs<direction, 1>(in, out, count, stride);
    case 2: return copy_runs<direction, 2>(in, out, count, stride);
    case 4: return copy_runs<direction, 4>(in, out, count, stride);
    case 8: return copy_runs<direction, 8>(in, out, count, stride);
    case 16: return copy_runs<direction, 16>(in, out, count, stride);
    case 32: return copy_runs<direction, 32>(in, out, count, stride);
    case 64: return copy_runs<direction, 64>(in, out, count, stride);
    case 128: return copy_runs<direction, 128>(in, out, count, stride);
    default: break;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t there = i * stride;
    const std::int64_t here = i * run;
    std::memcpy(out + (direction == Direction::forward ? here : there),
                in + (direction == Direction::forward ? there : here), static_cast<std::size_t>(run));
  }
}

}  // namespace detail

/// Writes `plan.bytes()` bytes: the permuted source, or (inverse) the source of a permuted array. The memories must not
/// overlap. Work is cut into pieces of some tens of KiB, so one expert's matrix keeps all workers busy.
template <Direction direction = Direction::forward, Executor E>
void relayout(const Relayout& plan, const std::byte* in, std::byte* out, E& executor) {
  constexpr std::int64_t piece_bytes = std::int64_t{32} << 10;
  const Axis last = plan.rank > 0 ? plan.axes[static_cast<std::size_t>(plan.rank - 1)] : Axis{};
  const std::int64_t piece = std::max<std::int64_t>(1, piece_bytes / plan.run);
  executor.parallel_for((plan.runs() + piece - 1) / piece, [&](std::int64_t p, int) {
    const std::int64_t end = std::min(plan.runs(), (p + 1) * piece);
    for (std::int64_t first = p * piece; first < end;) {
      const std::int64_t count = std::min(end - first, last.extent - first % last.extent);
      const std::int64_t dense = first * plan.run;
      const std::int64_t permuted = plan.source_of(first);
      detail::copy_runs<direction>(in + (direction == Direction::forward ? permuted : dense),
                                   out + (direction == Direction::forward ? dense : permuted), plan.run, count,
                                   last.source_stride);
      first += count;
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
