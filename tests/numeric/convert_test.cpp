// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/numeric/convert.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <type_traits>

namespace {

using polymoe::DType;

TEST(Convert, WhatIsStoredIsLoadedFromUnalignedMemory) {
  alignas(8) std::array<std::byte, 64> memory{};
  std::byte* row = memory.data() + 1;
  for (const DType dtype : {DType::bf16, DType::f16, DType::f32, DType::f8_e4m3}) {
    for (int i = 0; i < 8; ++i) polymoe::store_from_float(row, dtype, i, 0.25F * static_cast<float>(i) - 1.0F);
    for (int i = 0; i < 8; ++i) {
      EXPECT_EQ(polymoe::load_as_float(row, dtype, i), 0.25F * static_cast<float>(i) - 1.0F) << name(dtype);
    }
  }
}

TEST(Convert, IntegersAndScalesLoadAsTheirValue) {
  const std::array<std::byte, 4> bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}};
  EXPECT_EQ(polymoe::load_as_float(bytes.data(), DType::i8, 3), -1.0F);
  EXPECT_EQ(polymoe::load_as_float(bytes.data(), DType::u8, 3), 255.0F);
  EXPECT_EQ(polymoe::load_as_float(bytes.data(), DType::i32, 0), -1.0F);
  EXPECT_TRUE(std::isnan(polymoe::load_as_float(bytes.data(), DType::e8m0, 0)));
}

TEST(Convert, AFloatingDtypeBecomesItsType) {
  const auto is_bf16 = []<class T>() { return std::is_same_v<T, polymoe::bf16>; };
  const auto is_fp16 = []<class T>() { return std::is_same_v<T, polymoe::fp16>; };
  const auto is_float = []<class T>() { return std::is_same_v<T, float>; };
  EXPECT_TRUE(polymoe::visit_floating_dtype(DType::bf16, is_bf16));
  EXPECT_TRUE(polymoe::visit_floating_dtype(DType::f16, is_fp16));
  EXPECT_TRUE(polymoe::visit_floating_dtype(DType::f32, is_float));
}

}  // namespace
