// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "examples/lm/matmul.hpp"
#include "examples/support/file_error.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"

namespace polymoe::lm {

/// fp32, row-major; the rows have room for padded_columns().
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::int64_t rows, std::int64_t columns)
      : rows_(rows), columns_(columns), data_(static_cast<std::size_t>(rows * padded_columns(columns))) {}

  std::int64_t rows() const { return rows_; }
  std::int64_t columns() const { return columns_; }
  float* row(std::int64_t r) { return view().row(r); }
  const float* row(std::int64_t r) const { return view().row(r); }

  MatrixView<float> view() { return {data_.data(), rows_, columns_, padded_columns(columns_)}; }
  MatrixView<const float> view() const { return {data_.data(), rows_, columns_, padded_columns(columns_)}; }

  /// The first `count` rows.
  MatrixView<float> top(std::int64_t count) { return {data_.data(), count, columns_, padded_columns(columns_)}; }

 private:
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  std::vector<float> data_;
};

/// A checkpoint's tensor, whose type must be BF16, F16 or F32 and whose shape must be `shape`. Raises InputError.
inline TensorView float_tensor(const tools::Checkpoint& checkpoint, const std::string& name,
                               const std::vector<std::int64_t>& shape) {
  const TensorView tensor = checkpoint.view(name);
  const std::vector<std::int64_t> found(tensor.shape.data(), tensor.shape.data() + tensor.rank);
  if (!is_floating_point(tensor.dtype) || found != shape) {
    tools::refuse(checkpoint.path(), name, std::string(polymoe::name(tensor.dtype)) + " " + tools::shape_text(found),
                  "BF16, F16 or F32 " + tools::shape_text(shape));
  }
  return tensor;
}

/// A tensor [rows, columns] as a matrix.
inline Matrix load_matrix(const tools::Checkpoint& checkpoint, const std::string& name, std::int64_t rows,
                          std::int64_t columns) {
  const TensorView tensor = float_tensor(checkpoint, name, {rows, columns});
  Matrix matrix(rows, columns);
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      matrix.row(r)[c] = load_as_float(tensor.data, tensor.dtype, r * columns + c);
    }
  }
  return matrix;
}

/// The weight [outputs, inputs] of a linear layer as the right operand of multiply(): [inputs, outputs].
inline Matrix load_linear(const tools::Checkpoint& checkpoint, const std::string& name, std::int64_t outputs,
                          std::int64_t inputs) {
  const TensorView tensor = float_tensor(checkpoint, name, {outputs, inputs});
  Matrix matrix(inputs, outputs);
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t i = 0; i < inputs; ++i) {
      matrix.row(i)[o] = load_as_float(tensor.data, tensor.dtype, o * inputs + i);
    }
  }
  return matrix;
}

inline std::vector<float> load_vector(const tools::Checkpoint& checkpoint, const std::string& name, std::int64_t size) {
  const TensorView tensor = float_tensor(checkpoint, name, {size});
  std::vector<float> values(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) {
    values[static_cast<std::size_t>(i)] = load_as_float(tensor.data, tensor.dtype, i);
  }
  return values;
}

}  // namespace polymoe::lm
