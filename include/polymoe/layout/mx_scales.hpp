// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>

#include "polymoe/numeric/exponent.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

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

  /// The exponent e of a column that becomes 0: of the number that multiplies its sums. Of codes that are numbers, `least`
  /// and `greatest` are the outermost.
  static constexpr std::int32_t moved_by(std::int32_t least, std::int32_t greatest) noexcept {
    const std::int32_t over = greatest - 127 - highest;
    return over > 0 ? over : std::max(std::min(least - 127 - lowest, 0), over);
  }

  /// The step of a scale code in a column that is moved by `moved`.
  static constexpr std::int32_t step(std::int32_t code, std::int32_t moved) noexcept {
    return highest - (code - 127 - moved);
  }
  static constexpr bool is_step(std::int32_t step) noexcept { return step >= 0 && step <= highest - lowest; }

  /// What a step makes of a number.
  static constexpr float scale(std::int32_t step) noexcept { return power_of_two(highest - step); }

  static constexpr std::uint8_t nan_code = 255;
};

}  // namespace polymoe::inline POLYMOE_ISA::layout
