// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Compiled once for each instruction set.

#include "examples/lm/multiply_columns.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/target/dispatch.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::lm {
inline namespace POLYMOE_ISA {
namespace {

/// Elements of the widest vector that this build has.
#if defined(__AVX512F__)
constexpr std::size_t lanes = 16;
#elif defined(__AVX__)
constexpr std::size_t lanes = 8;
#else
constexpr std::size_t lanes = 4;
#endif

/// C[rows x 2 vectors] = A[rows x inner] * B[inner x 2 vectors].
template <int rows>
void multiply_block(const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
                    std::int64_t c_stride, std::int64_t inner) {
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

/// Rows [r, r + rows) of a block of columns.
template <int rows>
void multiply_rows(MatrixView<const float> a, std::int64_t r, const float* b, std::int64_t b_stride, float* c,
                   std::int64_t c_stride) {
  for (std::int64_t column = 0; column < column_block; column += 2 * static_cast<std::int64_t>(lanes)) {
    multiply_block<rows>(a.row(r), a.stride, b + column, b_stride, c + r * c_stride + column, c_stride, a.columns);
  }
}

}  // namespace
}  // namespace POLYMOE_ISA

template <CpuFeatures level>
void multiply_columns(MatrixView<const float> a, const float* b, std::int64_t b_stride, float* c,
                      std::int64_t c_stride) {
  constexpr int together = 6;  // 12 sums, 2 of B and 1 of A: 15 of at least 16 registers
  std::int64_t r = 0;
  for (; r + together <= a.rows; r += together) multiply_rows<together>(a, r, b, b_stride, c, c_stride);
  for (; r < a.rows; ++r) multiply_rows<1>(a, r, b, b_stride, c, c_stride);
}

template void multiply_columns<target::native_level>(MatrixView<const float>, const float*, std::int64_t, float*,
                                                     std::int64_t);

}  // namespace polymoe::lm
