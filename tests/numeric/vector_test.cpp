// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/numeric/vector.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/vectors.hpp"

namespace {

using polymoe::bf16;
using polymoe::fp16;
namespace vector = polymoe::vector;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

template <class V>
class Vector : public testing::Test {};

TYPED_TEST_SUITE(Vector, polymoe::test::Vectors);

/// Memory that ends, and begins, at a page that may not be touched.
class Guarded {
 public:
  explicit Guarded(std::size_t bytes) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), bytes_(bytes) {
    memory_ =
        static_cast<std::byte*>(mmap(nullptr, 3 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_, page_, PROT_NONE);
    mprotect(memory_ + 2 * page_, page_, PROT_NONE);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() { munmap(memory_, 3 * page_); }

  template <class T>
  T* at_the_end() {
    return reinterpret_cast<T*>(memory_ + 2 * page_ - bytes_);
  }

 private:
  std::size_t page_;
  std::size_t bytes_;
  std::byte* memory_;
};

bool same_or_both_nan(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

template <class V, class T>
void expect_every_code_loads() {
  constexpr std::size_t width = vector::width<V>;
  std::vector<T> codes(65536);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = T::from_bits(static_cast<std::uint16_t>(i));
  std::array<float, width> values;
  for (std::size_t i = 0; i < codes.size(); i += width) {
    vector::store(values.data(), vector::load<V>(codes.data() + i));
    for (std::size_t lane = 0; lane < width; ++lane) {
      ASSERT_TRUE(same_or_both_nan(values[lane], static_cast<float>(codes[i + lane]))) << i + lane;
    }
  }
}

/// Numbers of every magnitude and NaNs, a multiple of any vector's width.
std::vector<float> numbers_to_round() {
  std::vector<float> values;
  std::mt19937 random(1);
  for (std::uint32_t i = 0; i < 65536; ++i) {  // both midpoints and both neighbours of every code, and any other
    for (const std::uint32_t low : {0x0000U, 0x7FFFU, 0x8000U, 0x8001U, 0x0FFFU, 0x1000U, 0x1001U, 0x3000U}) {
      values.push_back(std::bit_cast<float>((i << 16) | low));
    }
    const float x = static_cast<float>(fp16::from_bits(static_cast<std::uint16_t>(i)));
    for (const int step : {-1, 0, 1}) {  // and fp16's midpoints among its subnormal numbers
      values.push_back(std::bit_cast<float>(std::bit_cast<std::uint32_t>(x + 0x1p-25F) + static_cast<unsigned>(step)));
    }
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
  }
  return values;
}

template <class V, class T>
void expect_stores_round_as_the_scalar_does() {
  constexpr std::size_t width = vector::width<V>;
  const std::vector<float> values = numbers_to_round();
  ASSERT_EQ(values.size() % width, 0U);
  std::array<T, width> codes;
  for (std::size_t i = 0; i < values.size(); i += width) {
    vector::store(codes.data(), vector::load<V>(values.data() + i));
    for (std::size_t lane = 0; lane < width; ++lane) {
      ASSERT_EQ(codes[lane].bits, T(values[i + lane]).bits) << std::hexfloat << values[i + lane];
    }
  }
}

/// But for subnormal numbers, which may become zeros.
template <class V>
void expect_operands_round_as_stores_do() {
  constexpr std::size_t width = vector::width<V>;
  const std::vector<float> values = numbers_to_round();
  std::array<bf16, width> codes;
  for (std::size_t i = 0; i < values.size(); i += width) {
    vector::store_operand(codes.data(), vector::load<V>(values.data() + i));
    for (std::size_t lane = 0; lane < width; ++lane) {
      const float x = values[i + lane];
      const bool is_zero = (codes[lane].bits & 0x7FFF) == 0;
      if (is_zero && std::abs(x) < std::numeric_limits<float>::min()) continue;
      ASSERT_EQ(codes[lane].bits, bf16(x).bits) << std::hexfloat << x;
    }
  }
}

template <class V, class T>
void expect_partial_access_stays_inside() {
  constexpr std::size_t width = vector::width<V>;
  for (std::size_t count = 1; count < width; ++count) {
    Guarded memory(count * sizeof(T));
    T* row = memory.at_the_end<T>();
    for (std::size_t i = 0; i < count; ++i) row[i] = T(static_cast<float>(i) + 1.0F);
    std::array<float, width> values;
    vector::store(values.data(), vector::load<V>(row, count));
    for (std::size_t i = 0; i < width; ++i) EXPECT_EQ(values[i], i < count ? static_cast<float>(i) + 1.0F : 0.0F);
    vector::store(row, V(2.5F), count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(static_cast<float>(row[i]), 2.5F);

    std::vector<T> canary(width + 1, T(7.0F));
    vector::store(canary.data(), V(2.5F), count);
    for (std::size_t i = count; i < canary.size(); ++i) EXPECT_EQ(static_cast<float>(canary[i]), 7.0F);
  }
}

template <class V, class T>
void expect_unaligned_access() {
  constexpr std::size_t width = vector::width<V>;
  std::vector<std::byte> memory(width * sizeof(T) + 1);
  T* row = reinterpret_cast<T*>(memory.data() + 1);
  vector::store(row, V(1.5F));
  std::array<float, width> values;
  vector::store(values.data(), vector::load<V>(const_cast<const T*>(row)));
  for (const float value : values) EXPECT_EQ(value, 1.5F);
}

TYPED_TEST(Vector, EveryBf16LoadsExactly) {
  expect_every_code_loads<TypeParam, bf16>();
}
TYPED_TEST(Vector, EveryFp16LoadsExactly) {
  expect_every_code_loads<TypeParam, fp16>();
}
TYPED_TEST(Vector, Bf16StoresRoundToNearestEven) {
  expect_stores_round_as_the_scalar_does<TypeParam, bf16>();
}
TYPED_TEST(Vector, OperandsRoundToNearestEven) {
  expect_operands_round_as_stores_do<TypeParam>();
}
TYPED_TEST(Vector, Fp16StoresRoundToNearestEven) {
  expect_stores_round_as_the_scalar_does<TypeParam, fp16>();
}

TYPED_TEST(Vector, PartialAccessStaysInside) {
  expect_partial_access_stays_inside<TypeParam, float>();
  expect_partial_access_stays_inside<TypeParam, bf16>();
  expect_partial_access_stays_inside<TypeParam, fp16>();
}

TYPED_TEST(Vector, MemoryMayBeUnaligned) {
  expect_unaligned_access<TypeParam, float>();
  expect_unaligned_access<TypeParam, bf16>();
  expect_unaligned_access<TypeParam, fp16>();
}

TYPED_TEST(Vector, BoundsKeepANan) {
  using V = TypeParam;
  const auto first = [](V v) {
    std::array<float, vector::width<V>> values;
    vector::store(values.data(), v);
    return values[0];
  };
  for (const float bound : {1.0F, infinity}) {
    EXPECT_TRUE(std::isnan(first(vector::at_most(V(nan_value), V(bound)))));
    EXPECT_TRUE(std::isnan(first(vector::at_least(V(nan_value), V(bound)))));
    EXPECT_TRUE(std::isnan(first(vector::clamp(V(nan_value), V(bound)))));
  }
  EXPECT_EQ(first(vector::clamp(V(3.0F), V(2.0F))), 2.0F);
  EXPECT_EQ(first(vector::clamp(V(-infinity), V(2.0F))), -2.0F);
  EXPECT_EQ(first(vector::clamp(V(1.0F), V(2.0F))), 1.0F);
  EXPECT_EQ(first(vector::abs(V(-1.0F))), 1.0F);
}

TYPED_TEST(Vector, MultiplyAddRoundsOnceWhereItSays) {
  using V = TypeParam;
  const float x = 1.0F + 0x1p-23F;
  const volatile float square = x * x;
  std::array<float, vector::width<V>> values;
  vector::store(values.data(), vector::multiply_add(V(x), V(x), V(-square)));
  EXPECT_EQ(values[0], vector::has_fused_multiply_add ? 0x1p-46F : 0.0F);
}

}  // namespace
