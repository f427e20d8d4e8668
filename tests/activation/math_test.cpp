// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/activation/math.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "tests/support/vectors.hpp"

namespace {

namespace activation = polymoe::activation;
namespace vector = polymoe::vector;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float smallest_normal = std::numeric_limits<float>::min();

template <class V>
class Math : public testing::Test {};

TYPED_TEST_SUITE(Math, polymoe::test::Vectors);

/// Floats of both signs and all magnitudes, NaN left out, a multiple of 64 of them. Every float with
/// POLYMOE_TEST_STRIDE=1 (minutes for each vector); else a stride that meets all patterns of the lower bits.
template <class F>
void for_each_block_of_floats(F&& f) {
  const char* text = std::getenv("POLYMOE_TEST_STRIDE");
  const auto stride = static_cast<std::uint64_t>(text != nullptr ? std::atoll(text) : 5003);
  std::array<float, 64> block{};
  std::size_t filled = 0;
  for (std::uint64_t bits = 0; bits < (1ULL << 32); bits += stride) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    if (std::isnan(x)) continue;
    block[filled++] = x;
    if (filled == block.size()) {
      f(block);
      filled = 0;
    }
  }
}

/// The distance of `found` from the exact value in units of fp32's last place there.
double ulps(float found, double exact) {
  if (static_cast<double>(found) == exact) return 0.0;
  const double magnitude = std::fabs(exact);
  const auto nearest = static_cast<float>(magnitude);
  if (std::isinf(nearest) || std::isnan(found)) return std::isinf(found) && std::isinf(nearest) ? 0.0 : 1e30;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(magnitude), -126) - 23);
  return std::fabs(static_cast<double>(found) - exact) / unit;
}

/// The greatest error of `function` on V against `exact` in double, where the result is not subnormal; where it is, the
/// error may not exceed the smallest normal number.
template <class V, class Function, class Exact>
double greatest_error(Function function, Exact exact) {
  double greatest = 0.0;
  for_each_block_of_floats([&](const std::array<float, 64>& block) {
    std::array<float, 64> values;
    for (std::size_t i = 0; i < block.size(); i += vector::width<V>) {
      vector::store(values.data() + i, function(vector::load<V>(block.data() + i)));
    }
    for (std::size_t i = 0; i < block.size(); ++i) {
      const double expected = exact(static_cast<double>(block[i]));
      if (std::fabs(expected) < static_cast<double>(smallest_normal)) {
        EXPECT_LE(std::fabs(values[i]), smallest_normal) << block[i];
      } else {
        const double error = ulps(values[i], expected);
        if (error > greatest) greatest = error;
      }
    }
  });
  return greatest;
}

template <class V, class Function>
float at(Function function, float x) {
  std::array<float, vector::width<V>> values;
  vector::store(values.data(), function(V(x)));
  return values.back();
}

TYPED_TEST(Math, ExpIsWithinFourUlp) {
  const double error =
      greatest_error<TypeParam>([](auto x) { return activation::exp(x); }, [](double x) { return std::exp(x); });
  EXPECT_LE(error, 2.0);
  this->RecordProperty("ulp", std::to_string(error));
}

TYPED_TEST(Math, SigmoidIsWithinFourUlp) {
  const double error = greatest_error<TypeParam>([](auto x) { return activation::sigmoid(x); },
                                                 [](double x) { return 1.0 / (1.0 + std::exp(-x)); });
  EXPECT_LE(error, 4.0);
  this->RecordProperty("ulp", std::to_string(error));
}

TYPED_TEST(Math, TanhIsWithinFourUlp) {
  const double error =
      greatest_error<TypeParam>([](auto x) { return activation::tanh(x); }, [](double x) { return std::tanh(x); });
  EXPECT_LE(error, 4.0);
  this->RecordProperty("ulp", std::to_string(error));
}

TYPED_TEST(Math, ErfIsWithinFourUlp) {
  const double error =
      greatest_error<TypeParam>([](auto x) { return activation::erf(x); }, [](double x) { return std::erf(x); });
  EXPECT_LE(error, 4.0);
  this->RecordProperty("ulp", std::to_string(error));
}

TYPED_TEST(Math, NormalTailIsWithinEightUlp) {
  const double error =
      greatest_error<TypeParam>([](auto x) { return activation::normal_tail(x); },
                                [](double x) { return 0.5 * std::erfc(std::fabs(x) * 0.70710678118654752); });
  EXPECT_LE(error, 8.0);
  this->RecordProperty("ulp", std::to_string(error));
}

TYPED_TEST(Math, InfinitiesAndNansFollowIeee) {
  using V = TypeParam;
  const auto exp = [](V x) { return activation::exp(x); };
  const auto sigmoid = [](V x) { return activation::sigmoid(x); };
  const auto tanh = [](V x) { return activation::tanh(x); };
  const auto erf = [](V x) { return activation::erf(x); };
  const auto tail = [](V x) { return activation::normal_tail(x); };
  EXPECT_EQ(at<V>(exp, infinity), infinity);
  EXPECT_EQ(at<V>(exp, -infinity), 0.0F);
  EXPECT_EQ(at<V>(exp, 1e30F), infinity);
  EXPECT_EQ(at<V>(exp, -1e30F), 0.0F);
  EXPECT_EQ(at<V>(exp, 0.0F), 1.0F);
  EXPECT_EQ(at<V>(sigmoid, infinity), 1.0F);
  EXPECT_EQ(at<V>(sigmoid, -infinity), 0.0F);
  EXPECT_EQ(at<V>(tanh, infinity), 1.0F);
  EXPECT_EQ(at<V>(tanh, -infinity), -1.0F);
  EXPECT_EQ(at<V>(erf, infinity), 1.0F);
  EXPECT_EQ(at<V>(erf, -infinity), -1.0F);
  EXPECT_EQ(at<V>(tail, infinity), 0.0F);
  EXPECT_EQ(at<V>(tail, -infinity), 0.0F);
  EXPECT_TRUE(std::signbit(at<V>(tanh, -0.0F)));
  EXPECT_TRUE(std::signbit(at<V>(erf, -0.0F)));
  for (const float bad : {nan_value, -nan_value, std::bit_cast<float>(0x7F800001U)}) {
    EXPECT_TRUE(std::isnan(at<V>(exp, bad)));
    EXPECT_TRUE(std::isnan(at<V>(sigmoid, bad)));
    EXPECT_TRUE(std::isnan(at<V>(tanh, bad)));
    EXPECT_TRUE(std::isnan(at<V>(erf, bad)));
    EXPECT_TRUE(std::isnan(at<V>(tail, bad)));
  }
}

}  // namespace
