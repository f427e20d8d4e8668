// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>

#include "examples/lm/multiply_columns.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/target/cpu_features.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/dispatch.hpp"

// fp32 products for everything that is not an expert. Every sum is taken in the order of the inner index, so that a
// row's result depends neither on the rows beside it nor on the number of threads.

namespace polymoe::lm {

namespace detail {

/// The build of multiply_columns for this CPU.
inline auto multiply_columns_here() {
  constexpr auto builds =
      entry_points<POLYMOE_LM_PRODUCTS_ISAS>([]<CpuFeatures level> { return &multiply_columns<level>; });
  static const auto build = dispatch(builds, target::detect());
  return build;
}

}  // namespace detail

/// Multiplications below which waking other threads takes longer than the work.
inline constexpr std::int64_t least_shared_work = std::int64_t{1} << 20;

/// f(index, worker) for each index below `count`: by all workers where the whole, of `work` multiplications, is worth
/// it, else by this thread.
template <class Executor, class F>
void share(std::int64_t count, std::int64_t work, Executor& executor, F&& f) {
  if (work >= least_shared_work) return executor.parallel_for(count, f);
  for (std::int64_t index = 0; index < count; ++index) f(index, 0);
}

/// C = A * B. [M, K] * [K, N]; the rows of B and C have room for padded_columns(N) elements, and those of C beyond N
/// are overwritten.
inline void multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  const auto multiply_block = detail::multiply_columns_here();
  for (std::int64_t column = 0; column < b.columns; column += column_block) {
    multiply_block(a, b.data + column, b.stride, c.data + column, c.stride);
  }
}

/// The same, by all workers of an executor.
template <class Executor>
void multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c, Executor& executor) {
  constexpr std::int64_t row_block = 96;
  const auto multiply_block = detail::multiply_columns_here();
  const std::int64_t row_blocks = (a.rows + row_block - 1) / row_block;
  const std::int64_t column_blocks = (b.columns + column_block - 1) / column_block;
  share(row_blocks * column_blocks, a.rows * a.columns * b.columns, executor, [&](std::int64_t index, int) {
    const std::int64_t row = index / column_blocks * row_block;
    const std::int64_t column = index % column_blocks * column_block;
    const MatrixView<const float> rows(a.row(row), std::min(row_block, a.rows - row), a.columns, a.stride);
    multiply_block(rows, b.data + column, b.stride, c.row(row) + column, c.stride);
  });
}

}  // namespace polymoe::lm
