// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "polymoe/config/dtype.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/e8m0.hpp"
#include "polymoe/numeric/fp16.hpp"

namespace polymoe {

/// Element `index` of a row of T (trivially copyable), which may be unaligned.
template <class T>
[[gnu::always_inline]] inline T load_element(const std::byte* row, std::int64_t index) noexcept {
  T value;
  std::memcpy(&value, row + index * static_cast<std::int64_t>(sizeof(T)), sizeof(T));
  return value;
}

/// Writes element `index` of a row of T, which may be unaligned.
template <class T>
[[gnu::always_inline]] inline void store_element(std::byte* row, std::int64_t index, T value) noexcept {
  std::memcpy(row + index * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
}

/// Calls f.template operator()<T>() with the C++ type of a floating dtype: bf16, fp16 or float.
template <class F>
[[gnu::always_inline]] inline decltype(auto) visit_floating_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::bf16: return f.template operator()<bf16>();
    case DType::f16: return f.template operator()<fp16>();
    default: return f.template operator()<float>();
  }
}

/// Element `index` of a row whose type is a value, as fp32. Exact for every type but i32, which is rounded.
[[gnu::always_inline]] inline float load_as_float(const std::byte* row, DType dtype, std::int64_t index) noexcept {
  switch (dtype) {
    case DType::bf16: return static_cast<float>(load_element<bf16>(row, index));
    case DType::f16: return static_cast<float>(load_element<fp16>(row, index));
    case DType::f32: return load_element<float>(row, index);
    case DType::f8_e4m3: return e4m3_decode(load_element<std::uint8_t>(row, index));
    case DType::i8: return static_cast<float>(load_element<std::int8_t>(row, index));
    case DType::u8: return static_cast<float>(load_element<std::uint8_t>(row, index));
    case DType::i32: return static_cast<float>(load_element<std::int32_t>(row, index));
    case DType::e8m0: return e8m0_decode(load_element<std::uint8_t>(row, index));
    case DType::runtime: break;
  }
  return std::numeric_limits<float>::quiet_NaN();
}

/// Writes `value` as element `index` of a row of bf16, fp16, fp32 or e4m3, rounded once (the type's own rule).
/// Other types are left untouched.
[[gnu::always_inline]] inline void store_from_float(std::byte* row, DType dtype, std::int64_t index,
                                                    float value) noexcept {
  switch (dtype) {
    case DType::bf16: return store_element(row, index, bf16(value));
    case DType::f16: return store_element(row, index, fp16(value));
    case DType::f32: return store_element(row, index, value);
    case DType::f8_e4m3: return store_element(row, index, e4m3_encode(value));
    default: return;
  }
}

}  // namespace polymoe
