// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "polymoe/numeric/exponent.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// The scales of a row that are stored as bytes, of keys with a scale for each run of a row.
inline std::span<const std::uint8_t> scale_codes(const quant::WeightMatrix& matrix, std::int64_t row) noexcept {
  const auto* const codes = reinterpret_cast<const std::uint8_t*>(matrix.tensors.weight_scale.data);
  return {codes + row * matrix.scale_row_stride, static_cast<std::size_t>(matrix.groups())};
}

/// How the scales of MX formats, 2^e with e in [-127, 127] or NaN, become steps that are taken from exponents.
///
/// bf16 numbers of a block are word(number * 2^highest) - step * 128 with step = highest - e: one subtraction instead
/// of a product, exact as long as nothing leaves bf16's normal numbers, for e in [lowest, highest]. A column whose
/// blocks do not fit is moved by a power of two that its sums are multiplied by; blocks too small to fit beside a
/// larger one are less than 2^-236 of it, and zeros. A block whose scale is NaN makes its column's sums NaN, and so
/// does the column's power of two.
template <std::int32_t lowest, std::int32_t highest>
struct MxScales {
  static_assert(highest - lowest <= 255);

  /// The exponent e of a row that becomes 0: of the number that multiplies the column's sums.
  static std::int32_t moved_by(const quant::WeightMatrix& matrix, std::int64_t row) noexcept {
    std::int32_t least = 254;
    std::int32_t greatest = 0;
    for (const std::uint8_t code : scale_codes(matrix, row)) {
      greatest = std::max<std::int32_t>(greatest, code == nan_code ? 0 : code);
      least = std::min<std::int32_t>(least, code);
    }
    const std::int32_t over = greatest - 127 - highest;
    return over > 0 ? over : std::max(std::min(least - 127 - lowest, 0), over);
  }

  static float column_scale(const quant::WeightMatrix& matrix, std::int64_t row) noexcept {
    for (const std::uint8_t code : scale_codes(matrix, row)) {
      if (code == nan_code) return std::numeric_limits<float>::quiet_NaN();
    }
    return power_of_two(moved_by(matrix, row));
  }

  /// The step of a scale code in a column that is moved by `moved`.
  static constexpr std::int32_t step(std::int32_t code, std::int32_t moved) noexcept {
    return highest - (code - 127 - moved);
  }
  static constexpr bool is_step(std::int32_t step) noexcept { return step >= 0 && step <= highest - lowest; }

  /// What a step makes of a number.
  static constexpr float scale(std::int32_t step) noexcept { return power_of_two(highest - step); }

  static constexpr std::int32_t nan_code = 255;
};

}  // namespace polymoe::inline POLYMOE_ISA::layout
