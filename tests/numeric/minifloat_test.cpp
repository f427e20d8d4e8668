// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/e8m0.hpp"
#include "polymoe/numeric/exponent.hpp"
#include "polymoe/numeric/fp16.hpp"
#include "polymoe/numeric/int4.hpp"

namespace {

using polymoe::bf16;
using polymoe::fp16;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

static_assert(bf16(1.0F).bits == 0x3F80 && static_cast<float>(bf16::from_bits(0x4049)) == 3.140625F);
static_assert(fp16(1.0F).bits == 0x3C00 && static_cast<float>(fp16::from_bits(0x7BFF)) == 65504.0F);
static_assert(polymoe::e4m3_encode(448.0F) == 0x7E && polymoe::e4m3_decode(0x38) == 1.0F);
static_assert(polymoe::e2m1_encode(-6.0F) == 15 && polymoe::e2m1_decode(1) == 0.5F);
static_assert(sizeof(bf16) == 2 && sizeof(fp16) == 2);

// A type described by the page's own words, in double: no bit of it is shared with the code under test.
struct Format {
  int mantissa_bits;
  int min_exponent;  // of a normal number
  double largest;
  bool saturates;
};

constexpr Format bf16_format{7, -126, 0x1.FEp127, false};
constexpr Format fp16_format{10, -14, 65504.0, false};
constexpr Format e4m3_format{3, -6, 448.0, true};
constexpr Format e2m1_format{1, 0, 6.0, true};

double decode_by_arithmetic(const Format& format, unsigned code, int exponent_bits) {
  const unsigned mantissa = code & ((1U << format.mantissa_bits) - 1U);
  const unsigned exponent = (code >> format.mantissa_bits) & ((1U << exponent_bits) - 1U);
  const bool negative = (code >> (format.mantissa_bits + exponent_bits)) & 1U;
  const double significand = exponent == 0 ? mantissa : mantissa + (1U << format.mantissa_bits);
  const int power = static_cast<int>(exponent == 0 ? 1 : exponent) - 1 + format.min_exponent - format.mantissa_bits;
  return std::copysign(std::ldexp(significand, power), negative ? -1.0 : 1.0);
}

double round_by_arithmetic(const Format& format, float x) {
  const double a = std::fabs(static_cast<double>(x));
  if (std::isinf(a)) return std::copysign(format.saturates ? format.largest : a, x);
  int exponent = 0;
  std::frexp(a, &exponent);
  const int unit = std::max(exponent - 1, format.min_exponent) - format.mantissa_bits;
  const double rounded = std::ldexp(std::nearbyint(std::ldexp(a, -unit)), unit);
  const double bounded =
      rounded <= format.largest ? rounded : (format.saturates ? format.largest : static_cast<double>(infinity));
  return std::copysign(bounded, x);
}

bool same(double a, double b) {
  return a == b && std::signbit(a) == std::signbit(b);
}

// Numbers of every magnitude, and the neighbourhood of what is interesting.
std::vector<float> samples() {
  std::vector<float> result{0.0F, infinity, 65519.996F, 65520.0F, 448.1F, 464.0F, 465.0F, 1e30F, 5.0F, 6.5F, 3.4e38F};
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isnan(x)) result.push_back(x);
  }
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> power(-10.0F, 6.0F);
  for (int i = 0; i < 1'000'000; ++i) result.push_back(normal(random) * std::pow(10.0F, power(random)));
  const std::size_t count = result.size();
  for (std::size_t i = 0; i < count; ++i) result.push_back(-result[i]);
  return result;
}

// The midpoint above every positive number of a format, and its two neighbours.
template <class Decode, class Encode>
void expect_ties_to_even(unsigned codes, Decode decode, Encode encode) {
  for (unsigned code = 0; code + 1 < codes; ++code) {
    const double low = static_cast<double>(decode(code));
    const double high = static_cast<double>(decode(code + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    ASSERT_EQ(static_cast<double>(middle), (low + high) / 2);
    const unsigned even = code + (code & 1U);
    EXPECT_EQ(encode(middle), even) << code;
    EXPECT_EQ(encode(std::nextafter(middle, -infinity)), code) << code;
    EXPECT_EQ(encode(std::nextafter(middle, infinity)), code + 1) << code;
  }
}

TEST(Bf16, EveryCodeDecodesByTheFormulaAndComesBack) {
  for (unsigned code = 0; code < 65536; ++code) {
    const bf16 number = bf16::from_bits(static_cast<std::uint16_t>(code));
    const auto value = static_cast<float>(number);
    const unsigned magnitude = code & 0x7FFFU;
    if (magnitude > 0x7F80U) {
      EXPECT_TRUE(std::isnan(value)) << code;
      EXPECT_EQ(bf16(value).bits, code | 0x40U) << "a NaN stays a quiet NaN of the same sign";
    } else if (magnitude == 0x7F80U) {
      EXPECT_TRUE(same(value, code & 0x8000U ? -infinity : infinity));
      EXPECT_EQ(bf16(value).bits, code);
    } else {
      EXPECT_TRUE(same(value, decode_by_arithmetic(bf16_format, code, 8))) << code;
      EXPECT_EQ(bf16(value).bits, code);
    }
  }
}

TEST(Bf16, RoundsToNearestEven) {
  expect_ties_to_even(
      0x7F80, [](unsigned code) { return static_cast<float>(bf16::from_bits(static_cast<std::uint16_t>(code))); },
      [](float x) { return static_cast<unsigned>(bf16(x).bits); });
  for (const float x : samples()) {
    ASSERT_TRUE(same(static_cast<float>(bf16(x)), round_by_arithmetic(bf16_format, x))) << x;
  }
}

TEST(Fp16, EveryCodeDecodesByTheFormulaAndComesBack) {
  for (unsigned code = 0; code < 65536; ++code) {
    const fp16 number = fp16::from_bits(static_cast<std::uint16_t>(code));
    const auto value = static_cast<float>(number);
    const unsigned magnitude = code & 0x7FFFU;
    if (magnitude > 0x7C00U) {
      EXPECT_TRUE(std::isnan(value)) << code;
      EXPECT_EQ(fp16(value).bits, code | 0x200U) << "a NaN stays a quiet NaN of the same sign";
    } else if (magnitude == 0x7C00U) {
      EXPECT_TRUE(same(value, code & 0x8000U ? -infinity : infinity));
      EXPECT_EQ(fp16(value).bits, code);
    } else {
      EXPECT_TRUE(same(value, decode_by_arithmetic(fp16_format, code, 5))) << code;
      EXPECT_EQ(fp16(value).bits, code);
    }
  }
}

TEST(Fp16, RoundsToNearestEven) {
  expect_ties_to_even(
      0x7C00, [](unsigned code) { return static_cast<float>(fp16::from_bits(static_cast<std::uint16_t>(code))); },
      [](float x) { return static_cast<unsigned>(fp16(x).bits); });
  for (const float x : samples()) {
    ASSERT_TRUE(same(static_cast<float>(fp16(x)), round_by_arithmetic(fp16_format, x))) << x;
  }
}

TEST(E4m3, EveryCodeDecodesByTheFormulaAndComesBack) {
  for (unsigned code = 0; code < 256; ++code) {
    const float value = polymoe::e4m3_decode(static_cast<std::uint8_t>(code));
    if ((code & 0x7FU) == 0x7FU) {
      EXPECT_TRUE(std::isnan(value));
    } else {
      EXPECT_TRUE(same(value, decode_by_arithmetic(e4m3_format, code, 4))) << code;
    }
    EXPECT_EQ(polymoe::e4m3_encode(value), code);
  }
}

TEST(E4m3, RoundsToNearestEvenAndSaturates) {
  expect_ties_to_even(
      0x7F, [](unsigned code) { return polymoe::e4m3_decode(static_cast<std::uint8_t>(code)); },
      [](float x) { return static_cast<unsigned>(polymoe::e4m3_encode(x)); });
  for (const float x : samples()) {
    ASSERT_TRUE(same(polymoe::e4m3_decode(polymoe::e4m3_encode(x)), round_by_arithmetic(e4m3_format, x))) << x;
  }
}

TEST(E2m1, HasTheSixteenValuesOfThePage) {
  const float values[16] = {0, .5F, 1, 1.5F, 2, 3, 4, 6, -0.0F, -.5F, -1, -1.5F, -2, -3, -4, -6};
  for (unsigned code = 0; code < 16; ++code) {
    EXPECT_TRUE(same(polymoe::e2m1_decode(static_cast<std::uint8_t>(code)), values[code]));
    EXPECT_EQ(polymoe::e2m1_encode(values[code]), code);
  }
}

TEST(E2m1, RoundsToNearestEvenAndSaturates) {
  expect_ties_to_even(
      8, [](unsigned code) { return polymoe::e2m1_decode(static_cast<std::uint8_t>(code)); },
      [](float x) { return static_cast<unsigned>(polymoe::e2m1_encode(x)); });
  for (const float x : samples()) {
    ASSERT_TRUE(same(polymoe::e2m1_decode(polymoe::e2m1_encode(x)), round_by_arithmetic(e2m1_format, x))) << x;
  }
  EXPECT_EQ(polymoe::e2m1_encode(nan_value), 0) << "there is no code for a NaN";
}

TEST(E8m0, IsTwoToTheCodeMinus127) {
  for (int code = 0; code < 255; ++code) {
    EXPECT_EQ(polymoe::e8m0_decode(static_cast<std::uint8_t>(code)), std::ldexp(1.0F, code - 127)) << code;
    EXPECT_EQ(polymoe::e8m0_from_exponent(code - 127), code);
  }
  EXPECT_TRUE(std::isnan(polymoe::e8m0_decode(255)));
}

TEST(Exponent, FloorLog2IsExactAroundEveryPowerOfTwo) {
  for (int power = -149; power <= 127; ++power) {
    const float p = std::ldexp(1.0F, power);
    EXPECT_EQ(polymoe::power_of_two(power), p);
    EXPECT_EQ(polymoe::floor_log2(p), power);
    EXPECT_EQ(polymoe::floor_log2(std::nextafter(p, 2 * p)), power > -149 ? power : -148);
    if (power > -126) {
      EXPECT_EQ(polymoe::floor_log2(std::nextafter(p, 0.0F)), power - 1);
    }
  }
  for (const float x : samples()) {
    if (!(x > 0.0F && x < infinity)) continue;
    ASSERT_EQ(polymoe::floor_log2(x), std::ilogb(x)) << x;
  }
}

TEST(Exponent, MxSharedExponentIsClamped) {
  EXPECT_EQ(polymoe::mx_shared_exponent(448.0F, 8), 0);
  EXPECT_EQ(polymoe::mx_shared_exponent(256.0F, 8), 0);
  EXPECT_EQ(polymoe::mx_shared_exponent(255.9F, 8), -1);
  EXPECT_EQ(polymoe::mx_shared_exponent(1e-45F, 8), -127);
  EXPECT_EQ(polymoe::mx_shared_exponent(3e38F, 8), 119);
  EXPECT_EQ(polymoe::mx_shared_exponent(0.0F, 8), -127);
}

TEST(Exponent, MultiplyingByAPowerOfTwoIsExact) {
  for (int power = -149; power <= 127; ++power) {
    for (const float x : {1.0F, 448.0F, 0x1p-9F, -6.0F, 0.0F}) {
      EXPECT_EQ(polymoe::multiply_by_power_of_two(x, power), std::ldexp(x, power));
    }
  }
}

TEST(Int4, NibblesStandInOrder) {
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(polymoe::nibble(0x76543210U, i), i);
  std::uint8_t row[4] = {0xFF, 0xFF, 0xFF, 0xFF};
  for (std::size_t i = 0; i < 8; ++i) polymoe::set_nibble(row, i, static_cast<std::uint8_t>(15 - i));
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(polymoe::nibble(row, i), 15 - i);
  EXPECT_EQ(polymoe::uint4b8_decode(0), -8);
  EXPECT_EQ(polymoe::uint4b8_decode(15), 7);
  EXPECT_EQ(polymoe::uint8b128_decode(0), -128);
  EXPECT_EQ(polymoe::uint8b128_decode(255), 127);
}

}  // namespace
