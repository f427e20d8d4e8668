// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/numeric/quantize_activation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

namespace quant_key = polymoe::quant_key;
using polymoe::QuantKey;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

constexpr QuantKey all_keys[] = {
    quant_key::fp8_static_tensor,    quant_key::fp8_dynamic_tensor,  quant_key::fp8_dynamic_token,
    quant_key::fp8_dynamic_group128, quant_key::fp8_dynamic_group64, quant_key::mxfp8_dynamic,
    quant_key::mxfp4_dynamic,        quant_key::nvfp4_dynamic,       quant_key::int8_dynamic_token};

// The table of the page, in double where the page's fp32 operation is exact or rounds once.
double nearest(double x, double step_at_one, double smallest_normal, double largest) {
  if (std::isnan(x)) return x;
  const double a = std::min(std::fabs(x), largest);
  int exponent = 0;
  std::frexp(std::max(a, smallest_normal), &exponent);
  const double step = std::ldexp(step_at_one, exponent - 1);
  return std::copysign(std::nearbyint(a / step) * step, x);
}
double e4m3(float x) {
  return nearest(x, 0.125, 0x1p-6, 448.0);
}
double e2m1(float x) {
  return nearest(x, 0.5, 1.0, 6.0);
}

float maximum(const float* x, std::int64_t n) {
  float result = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return x[i];
    result = std::max(result, std::fabs(x[i]));
  }
  return result;
}

std::vector<float> by_the_page(const QuantKey& key, const std::vector<float>& x, float given) {
  const auto n = static_cast<std::int64_t>(x.size());
  std::vector<float> out(x.size());
  const std::int64_t run = key.group.columns > 0 ? key.group.columns : std::max<std::int64_t>(n, 1);
  for (std::int64_t begin = 0; begin < n; begin += run) {
    const std::int64_t end = std::min(n, begin + run);
    const float amax = maximum(x.data() + begin, end - begin);
    for (std::int64_t i = begin; i < end; ++i) {
      const float v = x[static_cast<std::size_t>(i)];
      double value = 0.0;
      if (key.element == polymoe::QuantElement::f8_e4m3 && key.scale == polymoe::QuantScale::f32) {
        const bool is_given = key == quant_key::fp8_static_tensor || key == quant_key::fp8_dynamic_tensor;
        const float s = is_given ? given : amax / 448.0F;
        value = std::isnan(v) ? static_cast<double>(v) : (s == 0.0F ? 0.0 : e4m3(v / s) * static_cast<double>(s));
      } else if (key == quant_key::int8_dynamic_token) {
        const float s = amax / 127.0F;
        const double q = std::clamp(std::nearbyint(static_cast<double>(v / s)), -127.0, 127.0);
        value = std::isnan(v) ? static_cast<double>(v) : (s == 0.0F ? 0.0 : q * static_cast<double>(s));
      } else if (key == quant_key::nvfp4_dynamic) {
        const double b = e4m3(amax / 6.0F / given);
        const double q = e2m1(v / (static_cast<float>(b) * given));
        value = amax == 0.0F || b == 0.0 ? 0.0 : (std::isnan(q) ? 0.0 : q) * b * static_cast<double>(given);
      } else {
        const bool fp8 = key == quant_key::mxfp8_dynamic;
        int exponent = -127;
        if (amax > 0.0F) exponent = std::clamp(std::ilogb(amax) - (fp8 ? 8 : 2), -127, 127);
        const auto scaled = static_cast<float>(std::ldexp(static_cast<double>(v), -exponent));
        value = std::ldexp(fp8 ? e4m3(scaled) : e2m1(scaled), exponent);
        if (!std::isfinite(amax)) value = static_cast<double>(nan_value);
      }
      out[static_cast<std::size_t>(i)] = static_cast<float>(value);
    }
  }
  return out;
}

std::vector<float> quantized(const QuantKey& key, const std::vector<float>& x, float given) {
  std::vector<float> out(x.size(), -1.0F);
  polymoe::quantize_activation_row(key, x.data(), static_cast<std::int64_t>(x.size()), given, out.data());
  return out;
}

void expect_same(const std::vector<float>& found, const std::vector<float>& expected, const QuantKey& key) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(found[i] == expected[i] || (std::isnan(found[i]) && std::isnan(expected[i])))
        << name(key) << " at " << i << ": " << found[i] << " " << expected[i];
  }
}

float given_scale(const QuantKey& key, const std::vector<float>& x) {
  const float amax = polymoe::absolute_maximum_of_numbers(x.data(), static_cast<std::int64_t>(x.size()));
  return key == quant_key::nvfp4_dynamic ? amax / 2688.0F : amax / 448.0F;
}

std::vector<float> random_row(std::mt19937& random, std::size_t n, float scale) {
  std::normal_distribution<float> normal;
  std::vector<float> row(n);
  for (float& x : row) x = normal(random) * scale;
  return row;
}

TEST(QuantizeActivation, RowsOfEveryLengthAndMagnitudeFollowThePage) {
  std::mt19937 random(3);
  for (const QuantKey& key : all_keys) {
    for (const std::size_t n : {0U, 1U, 15U, 16U, 17U, 32U, 40U, 64U, 100U, 128U, 130U, 333U, 768U}) {
      for (const float scale : {1.0F, 1e-3F, 3e4F, 1e-30F, 1e-38F, 1e-42F, 1e36F}) {
        const std::vector<float> row = random_row(random, n, scale);
        expect_same(quantized(key, row, given_scale(key, row)), by_the_page(key, row, given_scale(key, row)), key);
      }
    }
  }
}

TEST(QuantizeActivation, GivenScalesThatFitBadlySaturateOrVanish) {
  std::mt19937 random(4);
  const std::vector<float> row = random_row(random, 200, 1.0F);
  for (const float scale : {1e-6F, 1e6F, 1e-38F, 1e38F, 0.0F}) {
    for (const QuantKey& key : {quant_key::fp8_static_tensor, quant_key::nvfp4_dynamic}) {
      if (scale == 0.0F && key == quant_key::nvfp4_dynamic) continue;
      expect_same(quantized(key, row, scale), by_the_page(key, row, scale), key);
    }
  }
}

TEST(QuantizeActivation, ZerosStayZerosWhateverTheScale) {
  std::mt19937 random(5);
  for (const QuantKey& key : all_keys) {
    for (const float scale : {0.0F, 1.0F}) {
      for (const float value : quantized(key, std::vector<float>(200), scale)) {
        EXPECT_EQ(value, 0.0F) << name(key);
      }
    }
    std::vector<float> row = random_row(random, 256, 1.0F);
    std::fill(row.begin() + 128, row.end(), 0.0F);
    const std::vector<float> values = quantized(key, row, given_scale(key, row));
    for (std::size_t i = 128; i < 256; ++i) EXPECT_EQ(values[i], 0.0F) << name(key);
  }
}

TEST(QuantizeActivation, ANanStaysANan) {
  std::mt19937 random(6);
  for (const QuantKey& key : all_keys) {
    for (const float special : {nan_value, -nan_value, infinity, -infinity}) {
      std::vector<float> row = random_row(random, 256, 1.0F);
      const float scale = given_scale(key, row);
      row[70] = special;
      const std::vector<float> values = quantized(key, row, scale);
      expect_same(values, by_the_page(key, row, scale), key);
      EXPECT_EQ(std::isnan(values[70]), std::isnan(special) || std::isnan(by_the_page(key, row, scale)[70]))
          << name(key);
    }
  }
}

TEST(QuantizeActivation, ARowMayBeQuantizedInPlace) {
  std::mt19937 random(7);
  for (const QuantKey& key : all_keys) {
    std::vector<float> row = random_row(random, 300, 1.0F);
    const std::vector<float> expected = quantized(key, row, 0.01F);
    polymoe::quantize_activation_row(key, row.data(), 300, 0.01F, row.data());
    EXPECT_EQ(row, expected);
  }
}

TEST(QuantizeActivation, TheTensorsMaximumLeavesNansOut) {
  const float row[] = {1.0F, nan_value, -3.0F, 2.0F};
  EXPECT_EQ(polymoe::absolute_maximum_of_numbers(row, 4), 3.0F);
  EXPECT_TRUE(std::isnan(polymoe::absolute_maximum(row, 4)));
  EXPECT_EQ(polymoe::absolute_maximum(row, 0), 0.0F);
  EXPECT_EQ(polymoe::absolute_maximum(row + 2, 2), 3.0F);
}

TEST(QuantizeActivation, CodesTimesScalesAreTheValues) {
  std::mt19937 random(8);
  constexpr std::size_t n = 200;
  const std::vector<float> row = random_row(random, n, 1.0F);
  std::vector<std::uint8_t> codes(n);
  std::vector<std::uint8_t> block_scales(n);
  std::vector<float> scales(n);
  std::vector<float> values(n);

  const float token_scale = polymoe::quantize_fp8_dynamic_token(row.data(), n, codes.data());
  for (std::size_t i = 0; i < n; ++i) values[i] = polymoe::e4m3_decode(codes[i]) * token_scale;
  EXPECT_EQ(values, quantized(quant_key::fp8_dynamic_token, row, 0.0F));

  polymoe::quantize_fp8_dynamic_group(row.data(), n, 64, codes.data(), scales.data());
  for (std::size_t i = 0; i < n; ++i) values[i] = polymoe::e4m3_decode(codes[i]) * scales[i / 64];
  EXPECT_EQ(values, quantized(quant_key::fp8_dynamic_group64, row, 0.0F));

  polymoe::quantize_mxfp8_dynamic(row.data(), n, codes.data(), block_scales.data());
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = polymoe::e4m3_decode(codes[i]) * polymoe::e8m0_decode(block_scales[i / 32]);
  }
  EXPECT_EQ(values, quantized(quant_key::mxfp8_dynamic, row, 0.0F));

  polymoe::quantize_mxfp4_dynamic(row.data(), n, codes.data(), block_scales.data());
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = polymoe::e2m1_decode(codes[i]) * polymoe::e8m0_decode(block_scales[i / 32]);
  }
  EXPECT_EQ(values, quantized(quant_key::mxfp4_dynamic, row, 0.0F));

  polymoe::quantize_nvfp4_dynamic(row.data(), n, 0.002F, codes.data(), block_scales.data());
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = polymoe::e2m1_decode(codes[i]) * polymoe::e4m3_decode(block_scales[i / 16]) * 0.002F;
  }
  EXPECT_EQ(values, quantized(quant_key::nvfp4_dynamic, row, 0.002F));

  std::vector<std::int8_t> q(n);
  const float int8_scale = polymoe::quantize_int8_dynamic_token(row.data(), n, q.data());
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(q[i]) * int8_scale;
  EXPECT_EQ(values, quantized(quant_key::int8_dynamic_token, row, 0.0F));
}

TEST(QuantizeActivation, Int8RoundsHalfToEven) {
  for (int i = -127; i < 127; ++i) {
    const float half = static_cast<float>(i) + 0.5F;
    EXPECT_EQ(polymoe::quantize_int8(half, 1.0F), static_cast<int>(std::nearbyint(half)));
  }
  EXPECT_EQ(polymoe::quantize_int8(1e9F, 1.0F), 127);
  EXPECT_EQ(polymoe::quantize_int8(-infinity, 1.0F), -127);
}

}  // namespace
