// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <random>
#include <vector>

#include "polymoe/config/view.hpp"

namespace polymoe::test {

/// Owns tensors of a synthetic checkpoint; views stay valid as long as the object.
class TensorStore {
 public:
  /// A tensor of zeros.
  TensorView zeros(DType dtype, std::initializer_list<std::int64_t> shape) {
    TensorView view;
    view.dtype = dtype;
    for (const std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
    memory_.emplace_back(view.bytes() + 1);
    view.data = memory_.back().data();
    return view;
  }

  /// A tensor whose element i, as fp32 or as an integer of the type, is f(i).
  template <class T, class F>
  TensorView filled(DType dtype, std::initializer_list<std::int64_t> shape, F&& f) {
    const TensorView view = zeros(dtype, shape);
    for (std::int64_t i = 0; i < view.count(); ++i) {
      const T value = f(i);
      std::memcpy(memory_.back().data() + i * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
    }
    return view;
  }

  /// Random bytes: every code of a packed tensor occurs.
  TensorView random_bytes(DType dtype, std::initializer_list<std::int64_t> shape) {
    const TensorView view = zeros(dtype, shape);
    for (std::byte& byte : memory_.back()) byte = static_cast<std::byte>(random_() & 0xFF);
    return view;
  }

  /// fp32 in (low, high).
  TensorView random_floats(std::initializer_list<std::int64_t> shape, float low, float high) {
    std::uniform_real_distribution<float> distribution(low, high);
    return filled<float>(DType::f32, shape, [&](std::int64_t) { return distribution(random_); });
  }

 private:
  std::mt19937 random_{7};
  std::deque<std::vector<std::byte>> memory_;
};

}  // namespace polymoe::test
