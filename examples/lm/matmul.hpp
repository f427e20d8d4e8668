// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "polymoe/config/view.hpp"

namespace polymoe::lm {

/// Columns are worked off in blocks of this many: two vectors of the widest kind that this build has.
#if defined(__AVX512F__)
inline constexpr std::int64_t column_block = 32;
#elif defined(__AVX__)
inline constexpr std::int64_t column_block = 16;
#else
inline constexpr std::int64_t column_block = 8;
#endif

/// The least multiple of the largest column_block that holds `columns`: what the rows of a right operand and of a
/// result must have room for.
constexpr std::int64_t padded_columns(std::int64_t columns) {
  return (columns + 31) / 32 * 32;
}

namespace detail {

/// C[rows x column_block] = A[rows x inner] * B[inner x column_block], every sum taken in the order of the inner index,
/// so that a row's result does not depend on the rows beside it.
template <int rows>
void multiply_block(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
                    std::int64_t c_stride, std::int64_t inner) {
  constexpr std::size_t lanes = column_block / 2;
  using Lanes [[gnu::vector_size(lanes * sizeof(float))]] = float;
  Lanes low[rows]{};
  Lanes high[rows]{};
  for (std::int64_t k = 0; k < inner; ++k) {
    Lanes b_low;
    Lanes b_high;
    std::memcpy(&b_low, b + k * b_stride, sizeof b_low);
    std::memcpy(&b_high, b + k * b_stride + lanes, sizeof b_high);
    for (int r = 0; r < rows; ++r) {
      low[r] += a[r * a_stride + k] * b_low;
      high[r] += a[r * a_stride + k] * b_high;
    }
  }
  for (int r = 0; r < rows; ++r) {
    std::memcpy(c + r * c_stride, &low[r], sizeof low[r]);
    std::memcpy(c + r * c_stride + lanes, &high[r], sizeof high[r]);
  }
}

/// All rows of one block of columns.
inline void multiply_columns(MatrixView<const float> a, const float* b, std::int64_t b_stride, float* c,
                             std::int64_t c_stride) {
  constexpr std::int64_t together = 6;
  std::int64_t r = 0;
  for (; r + together <= a.rows; r += together) {
    multiply_block<together>(a.row(r), a.stride, b, b_stride, c + r * c_stride, c_stride, a.columns);
  }
  for (; r < a.rows; ++r) multiply_block<1>(a.row(r), a.stride, b, b_stride, c + r * c_stride, c_stride, a.columns);
}

}  // namespace detail

/// C = A * B. [M, K] * [K, N]; the rows of B and C have room for padded_columns(N) elements, and those of C beyond N
/// are overwritten.
inline void multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c) {
  for (std::int64_t column = 0; column < b.columns; column += column_block) {
    detail::multiply_columns(a, b.data + column, b.stride, c.data + column, c.stride);
  }
}

/// The same, by all workers of an executor.
template <class Executor>
void multiply(MatrixView<const float> a, MatrixView<const float> b, MatrixView<float> c, Executor& executor) {
  constexpr std::int64_t row_block = 96;
  const std::int64_t row_blocks = (a.rows + row_block - 1) / row_block;
  const std::int64_t column_blocks = (b.columns + column_block - 1) / column_block;
  executor.parallel_for(row_blocks * column_blocks, [&](std::int64_t index, int) {
    const std::int64_t row = index / column_blocks * row_block;
    const std::int64_t column = index % column_blocks * column_block;
    const MatrixView<const float> rows(a.row(row), std::min(row_block, a.rows - row), a.columns, a.stride);
    detail::multiply_columns(rows, b.data + column, b.stride, c.row(row) + column, c.stride);
  });
}

}  // namespace polymoe::lm
