// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/view.hpp"
#include "polymoe/target/cpu_features.hpp"

namespace polymoe::lm {

/// Columns are worked off in blocks of this many.
inline constexpr std::int64_t column_block = 32;

/// The least multiple of column_block that holds `columns`: what the rows of a right operand and of a result must have
/// room for.
constexpr std::int64_t padded_columns(std::int64_t columns) {
  return (columns + column_block - 1) / column_block * column_block;
}

/// C[M, column_block] = A[M, K] * B[K, column_block], compiled for `level`.
template <CpuFeatures level>
void multiply_columns(MatrixView<const float> a, const float* b, std::int64_t b_stride, float* c,
                      std::int64_t c_stride);

}  // namespace polymoe::lm
