// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polymoe {

/// Element types of tensors. `runtime` (only in a FusedMoEConfig) leaves the choice to the tensor that arrives.
enum class DType : std::uint8_t { bf16, f16, f32, f8_e4m3, i8, u8, i32, e8m0, runtime };

/// The short names of architecture.md: dtype::bf16 reads better in a predicate than DType::bf16.
namespace dtype {
using enum DType;
}

namespace detail {

struct DTypeRow {
  DType dtype;
  std::string_view name;  ///< as safetensors writes it
  std::size_t size;       ///< bytes
};

inline constexpr std::array<DTypeRow, 9> dtype_table{{
    {DType::bf16, "BF16", 2},
    {DType::f16, "F16", 2},
    {DType::f32, "F32", 4},
    {DType::f8_e4m3, "F8_E4M3", 1},
    {DType::i8, "I8", 1},
    {DType::u8, "U8", 1},
    {DType::i32, "I32", 4},
    {DType::e8m0, "F8_E8M0", 1},
    {DType::runtime, "runtime", 0},
}};

}  // namespace detail

/// The name as safetensors writes it: "BF16", "F8_E4M3".
constexpr std::string_view name(DType dtype) {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].name;
}

/// Bytes of one element; 0 for `runtime`.
constexpr std::size_t size_of(DType dtype) {
  return detail::dtype_table[static_cast<std::size_t>(dtype)].size;
}

constexpr std::optional<DType> dtype_from_name(std::string_view text) {
  for (const detail::DTypeRow& row : detail::dtype_table) {
    if (row.name == text && row.dtype != DType::runtime) return row.dtype;
  }
  return std::nullopt;
}

/// bf16, fp16 or fp32: what hidden states, biases and unquantized weights may be.
constexpr bool is_floating_point(DType dtype) {
  return dtype == DType::bf16 || dtype == DType::f16 || dtype == DType::f32;
}

}  // namespace polymoe
