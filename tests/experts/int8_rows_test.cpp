// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/experts/int8_rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "polymoe/numeric/quantize_activation.hpp"

namespace polymoe::test {
namespace {

constexpr std::int64_t steps = 5;

void expect_codes_of_the_page(const std::vector<float>& numbers) {
  alignas(64) std::byte codes[steps * 64];
  const auto n = static_cast<std::int64_t>(numbers.size());
  const experts::WeightedRow<float> row{numbers.data(), 1.0F};
  const float scale = experts::store_int8_row(row, n, experts::DenseRow(codes, steps));
  std::vector<std::int8_t> expected(steps * 64);
  ASSERT_EQ(scale, quantize_int8_dynamic_token(numbers.data(), n, expected.data()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(static_cast<std::int8_t>(codes[i]), expected[i]) << i << " of " << n << ", scale " << scale;
  }
}

TEST(Int8Rows, are_those_of_a_division_also_beside_halves) {
  std::mt19937 random(1);
  for (int round = 0; round < 3000; ++round) {
    std::vector<float> numbers(1 + random() % (steps * 64));
    const int exponent = static_cast<int>(random() % 240) - 120;
    const float greatest = std::ldexp(1.0F + static_cast<float>(random() % (1U << 23)) * 0x1p-23F, exponent);
    const float scale = int8_scale(greatest);
    for (float& x : numbers) {
      const double half = static_cast<double>(random() % 254) - 126.5;
      x = static_cast<float>(half * static_cast<double>(scale));
      for (auto ulps = random() % 3; ulps > 0; --ulps) x = std::nextafter(x, 0.0F);
      x = std::clamp(x, -greatest, greatest);
    }
    numbers[0] = greatest;
    expect_codes_of_the_page(numbers);
  }
}

TEST(Int8Rows, of_zeros_and_of_the_least_numbers_divide_by_no_zero) {
  expect_codes_of_the_page(std::vector<float>(200, 0.0F));
  expect_codes_of_the_page(std::vector<float>(200, std::numeric_limits<float>::denorm_min()));
  expect_codes_of_the_page(std::vector<float>(200, std::numeric_limits<float>::max()));
}

}  // namespace
}  // namespace polymoe::test
