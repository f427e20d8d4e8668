// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/code_order.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

namespace polymoe::layout {
namespace {

RunCodes random_codes(unsigned limit) {
  std::mt19937 random(limit);
  RunCodes codes;
  for (auto& column : codes) {
    for (std::uint8_t& code : column) code = static_cast<std::uint8_t>(random() % limit);
  }
  return codes;
}

std::uint8_t code_at(const RunCodes& codes, const CodePlace& place) {
  return codes[place.column][place.k];
}

template <const CodeOrder& order>
void expect_bytes_in_order() {
  const RunCodes codes = random_codes(256);
  std::array<std::byte, run_codes> run{};
  store_bytes<order>(run.data(), codes);
  for (std::size_t i = 0; i < order.size(); ++i) {
    ASSERT_EQ(std::to_integer<unsigned>(run[i]), code_at(codes, order[i])) << "byte " << i;
  }
}

template <const CodeOrder& order>
void expect_nibbles_in_order() {
  const RunCodes codes = random_codes(16);
  std::array<std::byte, run_codes / 2> run{};
  store_nibbles<order>(run.data(), codes);
  for (std::size_t i = 0; i < order.size(); ++i) {
    ASSERT_EQ(std::to_integer<unsigned>(run[i / 2]) >> (i % 2 * 4) & 15U, code_at(codes, order[i])) << "nibble " << i;
  }
}

TEST(CodeOrder, says_where_each_code_of_a_run_is_stored) {
  expect_bytes_in_order<code_order::f32_bytes>();
  expect_bytes_in_order<code_order::f32_paired_bytes>();
  expect_bytes_in_order<code_order::bf16_bytes>();
  expect_bytes_in_order<code_order::bf16_paired_bytes>();
  expect_nibbles_in_order<code_order::f32_nibbles>();
  expect_nibbles_in_order<code_order::bf16_nibbles>();
}

}  // namespace
}  // namespace polymoe::layout
