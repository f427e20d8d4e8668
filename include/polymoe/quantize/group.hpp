// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "polymoe/config/dtype.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/e8m0.hpp"
#include "polymoe/numeric/exponent.hpp"
#include "polymoe/numeric/quantize_activation.hpp"

// Codes and scale of a run of weights that share a scale. Weights are finite. The rules for fp8 and fp4 are those that
// numerics.md gives for activations; those for integers spread the range over all codes.

namespace polymoe::quant {

/// How a scale is chosen.
enum class ScaleSearch : std::uint8_t {
  none,              ///< round to nearest by the rule
  mean_square_error  ///< 4-bit codes: of some scales around the rule's, the one with the least square error
};

namespace detail {

/// The number nearest to x that a scale's type holds.
inline float rounded_to(DType dtype, float x) noexcept {
  if (dtype == DType::bf16) return static_cast<float>(bf16(x));
  if (dtype == DType::f16) return static_cast<float>(fp16(x));
  return x;
}

inline std::uint8_t integer_code(float x, float scale, float zero, float highest) noexcept {
  const float code = scale == 0.0F ? zero : std::nearbyint(x / scale) + zero;
  return static_cast<std::uint8_t>(std::clamp(code, 0.0F, highest));
}

/// Sum of squares of x - value(i).
template <class Value>
double square_error(const float* x, std::int64_t n, Value&& value) noexcept {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(value(i));
    sum += difference * difference;
  }
  return sum;
}

}  // namespace detail

/// mxfp4_static: codes, one a byte, of n <= 32 weights; returns the e8m0 scale. The rule lets the greatest weights
/// saturate at 6 (of 8); the search also tries the next exponent.
inline std::uint8_t quantize_mxfp4_group(const float* x, std::int64_t n, ScaleSearch search,
                                         std::uint8_t* codes) noexcept {
  const float amax = absolute_maximum(x, n);
  int exponent = mx_shared_exponent(amax, e2m1_emax);
  const auto code = [&](int with, std::int64_t i) { return e2m1_encode(multiply_by_power_of_two(x[i], -with)); };
  if (search == ScaleSearch::mean_square_error && amax > 0.0F && exponent < 127) {
    const auto error = [&](int with) {
      return detail::square_error(
          x, n, [&](std::int64_t i) { return multiply_by_power_of_two(e2m1_decode(code(with, i)), with); });
    };
    if (error(exponent + 1) < error(exponent)) ++exponent;
  }
  for (std::int64_t i = 0; i < n; ++i) codes[i] = code(exponent, i);
  return e8m0_from_exponent(exponent);
}

/// nvfp4_static: codes, one a byte, of n <= 16 weights under a global scale; returns the e4m3 block scale. The search
/// tries the scales from half to 1.25 of the rule's.
inline std::uint8_t quantize_nvfp4_group(const float* x, std::int64_t n, float global_scale, ScaleSearch search,
                                         std::uint8_t* codes) noexcept {
  std::uint8_t block = 0;
  quantize_nvfp4_dynamic(x, n, global_scale, codes, &block);
  if (search == ScaleSearch::none || block == 0) return block;
  constexpr int codes_below = 8;  // eight codes of e4m3 are a factor of two
  constexpr int codes_above = 2;
  constexpr int largest_code = 0x7E;
  const auto code = [&](float divisor, std::int64_t i) { return e2m1_encode(x[i] / divisor); };
  std::uint8_t best = block;
  double least = std::numeric_limits<double>::infinity();
  for (int c = std::max(1, block - codes_below); c <= std::min(largest_code, block + codes_above); ++c) {
    const float divisor = e4m3_decode(static_cast<std::uint8_t>(c)) * global_scale;
    if (divisor == 0.0F) continue;
    const double error =
        detail::square_error(x, n, [&](std::int64_t i) { return e2m1_decode(code(divisor, i)) * divisor; });
    if (error < least) {
      least = error;
      best = static_cast<std::uint8_t>(c);
    }
  }
  const float divisor = e4m3_decode(best) * global_scale;
  for (std::int64_t i = 0; i < n; ++i) codes[i] = divisor == 0.0F ? std::uint8_t{0} : code(divisor, i);
  return best;
}

/// What a group of integer codes needs to be read.
struct IntegerScale {
  float scale = 0.0F;
  std::uint8_t zero = 0;
};

/// int4_static_group and int8_static_group: unsigned codes, one a byte, of n weights: x ~ (code - zero) * scale. The
/// scale is a number of `scale_dtype` (bf16, f16 or f32). Symmetric: zero is 8 or 128, scale = amax / 7.5 or 127.5.
/// With zero points: the range from the least weight (or 0) to the greatest (or 0) over all codes. The search shrinks
/// the scale step by step, which trades the extremes for the rest (int4 only: with eight bits it gains nothing).
inline IntegerScale quantize_integer_group(const float* x, std::int64_t n, int bits, bool zero_points,
                                           DType scale_dtype, ScaleSearch search, std::uint8_t* codes) noexcept {
  const auto highest = static_cast<float>((1 << bits) - 1);
  const auto [low, high] = std::minmax_element(x, x + n);
  const float least = n == 0 ? 0.0F : std::min(*low, 0.0F);
  const float greatest = n == 0 ? 0.0F : std::max(*high, 0.0F);
  const float range = zero_points ? greatest - least : 2.0F * std::max(-least, greatest);
  const auto middle = static_cast<float>(1 << (bits - 1));
  const auto at = [&](float shrink) {
    IntegerScale result;
    result.scale = detail::rounded_to(scale_dtype, range * shrink / highest);
    const float zero = result.scale == 0.0F || !zero_points ? middle : std::nearbyint(-least * shrink / result.scale);
    result.zero = static_cast<std::uint8_t>(std::clamp(zero, 0.0F, highest));
    return result;
  };
  const auto code = [&](const IntegerScale& with, std::int64_t i) {
    return detail::integer_code(x[i], with.scale, static_cast<float>(with.zero), highest);
  };
  IntegerScale best = at(1.0F);
  if (search == ScaleSearch::mean_square_error && bits == 4) {
    constexpr float step = 1.0F / 32.0F;
    double least_error = std::numeric_limits<double>::infinity();
    for (int i = -2; i <= 14; ++i) {  // from 1.0625 to 0.5625 of the rule's scale
      const IntegerScale candidate = at(1.0F - static_cast<float>(i) * step);
      const double error = detail::square_error(x, n, [&](std::int64_t j) {
        return static_cast<float>(code(candidate, j) - candidate.zero) * candidate.scale;
      });
      if (error < least_error) {
        least_error = error;
        best = candidate;
      }
    }
  }
  for (std::int64_t i = 0; i < n; ++i) codes[i] = code(best, i);
  return best;
}

}  // namespace polymoe::quant
