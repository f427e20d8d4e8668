// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/e8m0.hpp"
#include "polymoe/numeric/exponent.hpp"

// Quantizers for rows of activations: the table "Activation keys" of numerics.md, section 4, in plain scalar code.
// A row is n fp32 numbers. Every arithmetic operation is one IEEE fp32 operation, in the order in which the page writes
// it; subnormal numbers count (the caller's floating-point environment is the default one).

namespace polymoe {

/// The greatest magnitude of n numbers: 0 of none, a NaN where there is one.
[[gnu::always_inline]] constexpr float absolute_maximum(const float* x, std::int64_t n) noexcept {
  // Magnitudes order like their codes, and those of NaNs come above infinity's.
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, std::bit_cast<std::uint32_t>(x[i]) & 0x7FFFFFFFU);
  return std::bit_cast<float>(largest);
}

/// The greatest magnitude of n numbers with NaNs left out: 0 of none.
[[gnu::always_inline]] constexpr float absolute_maximum_of_numbers(const float* x, std::int64_t n) noexcept {
  float largest = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    const float a = x[i] < 0.0F ? -x[i] : x[i];
    largest = a > largest ? a : largest;
  }
  return largest;
}

/// The scale of the fp8_dynamic keys: fp8_dynamic_tensor takes amax over all rows of the matrix, NaN left out.
[[gnu::always_inline]] constexpr float fp8_scale(float amax) noexcept {
  return amax / e4m3_max;
}

/// q = e4m3(x / s); zeros where s = 0; a NaN stays a NaN. The value that it stands for is e4m3_decode(q) * s.
[[gnu::always_inline]] constexpr std::uint8_t quantize_fp8(float x, float s) noexcept {
  const bool is_nan = !(x == x);
  return e4m3_encode(is_nan ? x : (s == 0.0F ? 0.0F : x / s));
}

/// Codes of a row with one given scale: fp8_static_tensor, fp8_dynamic_tensor.
[[gnu::always_inline]] constexpr void quantize_fp8_row(const float* x, std::int64_t n, float s,
                                                       std::uint8_t* codes) noexcept {
  for (std::int64_t i = 0; i < n; ++i) codes[i] = quantize_fp8(x[i], s);
}

/// fp8_dynamic_token: codes of a row; returns its scale.
[[gnu::always_inline]] constexpr float quantize_fp8_dynamic_token(const float* x, std::int64_t n,
                                                                  std::uint8_t* codes) noexcept {
  const float s = fp8_scale(absolute_maximum(x, n));
  quantize_fp8_row(x, n, s, codes);
  return s;
}

/// fp8_dynamic_group128 and fp8_dynamic_group64: codes of a row and ceil(n / group) scales.
[[gnu::always_inline]] constexpr void quantize_fp8_dynamic_group(const float* x, std::int64_t n, std::int64_t group,
                                                                 std::uint8_t* codes, float* scales) noexcept {
  for (std::int64_t begin = 0; begin < n; begin += group) {
    scales[begin / group] = quantize_fp8_dynamic_token(x + begin, std::min(group, n - begin), codes + begin);
  }
}

/// mxfp8_dynamic: codes of a row and ceil(n / 32) e8m0 scales. A block with a NaN or an infinity has scale NaN.
[[gnu::always_inline]] constexpr void quantize_mxfp8_dynamic(const float* x, std::int64_t n, std::uint8_t* codes,
                                                             std::uint8_t* scales) noexcept {
  constexpr std::int64_t block = 32;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(n, begin + block);
    const float amax = absolute_maximum(x + begin, end - begin);
    const bool finite = amax <= std::numeric_limits<float>::max();
    const int exponent = finite ? mx_shared_exponent(amax, e4m3_emax) : 0;
    scales[begin / block] = finite ? e8m0_from_exponent(exponent) : e8m0_nan;
    for (std::int64_t i = begin; i < end; ++i) codes[i] = e4m3_encode(multiply_by_power_of_two(x[i], -exponent));
  }
}

/// mxfp4_dynamic: codes of a row, one a byte, and ceil(n / 32) e8m0 scales. A block with a NaN or an infinity has scale
/// NaN.
[[gnu::always_inline]] constexpr void quantize_mxfp4_dynamic(const float* x, std::int64_t n, std::uint8_t* codes,
                                                             std::uint8_t* scales) noexcept {
  constexpr std::int64_t block = 32;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(n, begin + block);
    const float amax = absolute_maximum(x + begin, end - begin);
    const bool finite = amax <= std::numeric_limits<float>::max();
    const int exponent = finite ? mx_shared_exponent(amax, e2m1_emax) : 0;
    scales[begin / block] = finite ? e8m0_from_exponent(exponent) : e8m0_nan;
    for (std::int64_t i = begin; i < end; ++i) codes[i] = e2m1_encode(multiply_by_power_of_two(x[i], -exponent));
  }
}

/// nvfp4_dynamic: codes of a row, one a byte, and ceil(n / 16) e4m3 block scales b. Value = e2m1_decode(q) * b *
/// input_scale, from left to right, and 0 where b is 0. A block with a NaN has scale NaN.
[[gnu::always_inline]] constexpr void quantize_nvfp4_dynamic(const float* x, std::int64_t n, float input_scale,
                                                             std::uint8_t* codes, std::uint8_t* scales) noexcept {
  constexpr std::int64_t block = 16;
  for (std::int64_t begin = 0; begin < n; begin += block) {
    const std::int64_t end = std::min(n, begin + block);
    const float amax = absolute_maximum(x + begin, end - begin);
    // A block of zeros quantizes to zeros whatever the scale, also where input_scale is 0.
    const std::uint8_t code = amax == 0.0F ? std::uint8_t{0} : e4m3_encode(amax / e2m1_max / input_scale);
    const float b = e4m3_decode(code);
    scales[begin / block] = code;
    const float divisor = b * input_scale;
    for (std::int64_t i = begin; i < end; ++i) codes[i] = b == 0.0F ? std::uint8_t{0} : e2m1_encode(x[i] / divisor);
  }
}

/// The scale of int8_dynamic_token.
[[gnu::always_inline]] constexpr float int8_scale(float amax) noexcept {
  return amax / 127.0F;
}

/// round-half-even(x / s) in [-127, 127]; 0 where s = 0 or the quotient is a NaN.
[[gnu::always_inline]] constexpr std::int8_t quantize_int8(float x, float s) noexcept {
  const float quotient = s == 0.0F ? 0.0F : x / s;
  const float bounded = quotient > 127.0F ? 127.0F : (quotient < -127.0F ? -127.0F : quotient);
  if (!(bounded == bounded)) return 0;
  // Adding 1.5 * 2^23 leaves no room for a fraction: the sum is rounded to an integer, half to even.
  return static_cast<std::int8_t>(std::bit_cast<std::int32_t>(bounded + 0x1.8p23F) -
                                  std::bit_cast<std::int32_t>(0x1.8p23F));
}

/// int8_dynamic_token: q of a row; returns the scale. A row with a NaN or an infinity has a scale that is not finite,
/// by which every product becomes NaN.
[[gnu::always_inline]] constexpr float quantize_int8_dynamic_token(const float* x, std::int64_t n,
                                                                   std::int8_t* q) noexcept {
  const float s = int8_scale(absolute_maximum(x, n));
  for (std::int64_t i = 0; i < n; ++i) q[i] = quantize_int8(x[i], s);
  return s;
}

/// Writes the fp32 values that enter the product in place of the row x: q * s, rounded once. `values` may be x.
/// `scale` is the static scale s (fp8_static_tensor), fp8_scale(amax of the whole matrix) (fp8_dynamic_tensor) or the
/// input_scale S (nvfp4_dynamic); other keys do not read it.
[[gnu::always_inline]] constexpr void quantize_activation_row(const QuantKey& key, const float* x, std::int64_t n,
                                                              float scale, float* values) noexcept {
  constexpr std::int64_t longest = 128;
  const bool whole_row = key.group.columns <= 0;
  const std::int64_t run = whole_row ? longest : key.group.columns;
  const float row_maximum = whole_row && !key.is_static ? absolute_maximum(x, n) : 0.0F;
  std::uint8_t codes[longest] = {};
  std::uint8_t block_scales[1] = {};
  for (std::int64_t begin = 0; begin < n; begin += run) {
    const std::int64_t count = std::min(run, n - begin);
    const float* in = x + begin;
    float* out = values + begin;
    if (key == quant_key::fp8_static_tensor || key == quant_key::fp8_dynamic_tensor ||
        key == quant_key::fp8_dynamic_token || key == quant_key::fp8_dynamic_group128 ||
        key == quant_key::fp8_dynamic_group64) {
      const float s = key == quant_key::fp8_dynamic_token ? fp8_scale(row_maximum)
                      : whole_row                         ? scale
                                                          : fp8_scale(absolute_maximum(in, count));
      for (std::int64_t i = 0; i < count; ++i) out[i] = e4m3_decode(quantize_fp8(in[i], s)) * s;
    } else if (key == quant_key::int8_dynamic_token) {
      const float s = int8_scale(row_maximum);
      for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(quantize_int8(in[i], s)) * s;
    } else if (key == quant_key::mxfp8_dynamic) {
      quantize_mxfp8_dynamic(in, count, codes, block_scales);
      for (std::int64_t i = 0; i < count; ++i) out[i] = e4m3_decode(codes[i]) * e8m0_decode(block_scales[0]);
    } else if (key == quant_key::mxfp4_dynamic) {
      quantize_mxfp4_dynamic(in, count, codes, block_scales);
      for (std::int64_t i = 0; i < count; ++i) out[i] = e2m1_decode(codes[i]) * e8m0_decode(block_scales[0]);
    } else if (key == quant_key::nvfp4_dynamic) {
      quantize_nvfp4_dynamic(in, count, scale, codes, block_scales);
      const float b = e4m3_decode(block_scales[0]);
      for (std::int64_t i = 0; i < count; ++i) out[i] = b == 0.0F ? 0.0F : e2m1_decode(codes[i]) * b * scale;
    } else {
      for (std::int64_t i = 0; i < count; ++i) out[i] = in[i];
    }
  }
}

}  // namespace polymoe
