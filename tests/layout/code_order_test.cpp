// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/code_order.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>

namespace polymoe::layout {
namespace {

PanelLines random_lines() {
  std::mt19937 random(1);
  PanelLines lines;
  lines.change([&](std::uint64_t) { return std::uint64_t{random()} << 32 | random(); });
  return lines;
}

/// Code `index` of `bits` bits in memory: lower nibbles first.
template <int bits>
unsigned code_at(const std::byte* codes, std::int64_t index) {
  const auto byte = std::to_integer<unsigned>(codes[index * bits / 8]);
  return bits == 8 ? byte : byte >> (index % 2 * 4) & 15U;
}

template <const CodeOrder& order, int bits>
void expect_order() {
  const PanelLines lines = random_lines();
  for (std::int64_t run = 0; run < runs_of_lines<bits>; ++run) {
    std::array<std::byte, run_codes * bits / 8> stored{};
    store_run<order, bits>(stored.data(), lines, run);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      ASSERT_EQ(code_at<bits>(stored.data(), index),
                code_at<bits>(lines.of_column[order[i].column], run * run_k + order[i].k))
          << "code " << i << " of run " << run;
    }
  }
}

TEST(CodeOrder, says_where_each_code_of_a_run_is_stored) {
  expect_order<code_order::f32_bytes, 8>();
  expect_order<code_order::f32_paired_bytes, 8>();
  expect_order<code_order::bf16_bytes, 8>();
  expect_order<code_order::bf16_paired_bytes, 8>();
  expect_order<code_order::f32_nibbles, 4>();
  expect_order<code_order::bf16_nibbles, 4>();
}

TEST(E4m3Nan, is_found_wherever_it_is) {
  std::array<std::byte, 100> codes{};
  codes.fill(std::byte{0xFE});
  EXPECT_FALSE(has_e4m3_nan(codes.data(), 100));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    for (const std::byte nan : {std::byte{0x7F}, std::byte{0xFF}}) {
      const std::byte kept = std::exchange(codes[i], nan);
      EXPECT_TRUE(has_e4m3_nan(codes.data(), 100)) << "at " << i;
      codes[i] = kept;
    }
  }
}

}  // namespace
}  // namespace polymoe::layout
