// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <type_traits>

#include "polymoe/config/dtype.hpp"

namespace polymoe {

/// Non-owning rows x columns matrix of T; `stride` counts elements from row to row. Memory may be unaligned.
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;

  constexpr MatrixView() = default;
  constexpr MatrixView(T* first, std::int64_t row_count, std::int64_t column_count)
      : MatrixView(first, row_count, column_count, column_count) {}
  constexpr MatrixView(T* first, std::int64_t row_count, std::int64_t column_count, std::int64_t row_stride)
      : data(first), rows(row_count), columns(column_count), stride(row_stride) {}

  /// A view of mutable elements is a view of const ones.
  template <class Other>
  requires(std::is_const_v<T>&& std::same_as<Other, std::remove_const_t<T>>) constexpr MatrixView(
      const MatrixView<Other>& other)  // NOLINT(google-explicit-constructor)
      : MatrixView(other.data, other.rows, other.columns, other.stride) {}

  constexpr T* row(std::int64_t r) const { return data + r * stride; }
};

struct bf16;
struct fp16;

template <class T>
struct dtype_of;
template <>
struct dtype_of<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of<fp16> {
  static constexpr DType value = DType::f16;
};

/// Rows of bf16, fp16 or fp32 whose type is a value: hidden states [T, H], router logits [T, E], the output [T, H].
/// `Byte` is std::byte or const std::byte.
template <class Byte>
struct BasicTokensView {
  Byte* data = nullptr;
  DType dtype = DType::bf16;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;  ///< elements from row to row

  constexpr BasicTokensView() = default;
  BasicTokensView(Byte* first, DType element, std::int64_t row_count, std::int64_t column_count,
                  std::int64_t row_stride)
      : data(first), dtype(element), rows(row_count), columns(column_count), stride(row_stride) {}

  template <class T>
  requires(std::is_const_v<Byte> || !std::is_const_v<T>)
      BasicTokensView(const MatrixView<T>& view)  // NOLINT(google-explicit-constructor)
      : data(reinterpret_cast<Byte*>(view.data)),
        dtype(dtype_of<std::remove_const_t<T>>::value),
        rows(view.rows),
        columns(view.columns),
        stride(view.stride) {}

  template <class Other>
  requires(std::is_const_v<Byte>&& std::same_as<Other, std::remove_const_t<Byte>>)
      BasicTokensView(const BasicTokensView<Other>& other)  // NOLINT(google-explicit-constructor)
      : BasicTokensView(other.data, other.dtype, other.rows, other.columns, other.stride) {}

  Byte* row(std::int64_t r) const { return data + r * stride * static_cast<std::int64_t>(size_of(dtype)); }
};

using TokensView = BasicTokensView<const std::byte>;
using MutableTokensView = BasicTokensView<std::byte>;

/// One checkpoint tensor, dense and row-major. Absent where data is null.
struct TensorView {
  const std::byte* data = nullptr;
  DType dtype = DType::bf16;
  std::array<std::int64_t, 4> shape{};
  int rank = 0;

  constexpr bool present() const { return data != nullptr; }

  constexpr std::int64_t count() const {
    std::int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= shape[static_cast<std::size_t>(i)];
    return product;
  }

  constexpr std::size_t bytes() const { return static_cast<std::size_t>(count()) * size_of(dtype); }
};

/// A view of a dense tensor of bf16, fp16 or float.
template <class T>
TensorView tensor_view(const T* data, std::initializer_list<std::int64_t> shape) {
  TensorView view{reinterpret_cast<const std::byte*>(data), dtype_of<T>::value};
  for (const std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
  return view;
}

}  // namespace polymoe
