// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/avx512_codes.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e4m3.hpp"

#if defined(POLYMOE_HAS_AVX512_CODES)

namespace polymoe::layout {
namespace {

using Codes = std::array<std::uint8_t, run_codes>;
using Rows = std::array<bf16, run_codes>;

template <class Number>
void expect_numbers(const Codes& codes, const Rows& rows, Number number) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const CodePlace place = code_order::bf16_paired_bytes[i];
    const bf16 found = rows[static_cast<std::size_t>(element_place<bf16>(place.column, place.k))];
    ASSERT_EQ(found.bits, bf16(number(codes[i])).bits) << "code " << unsigned{codes[i]} << " at " << i;
  }
}

/// Runs whose codes are `others` but for one of each 256, at every place.
template <class Expect>
void with_every_code_at_every_place(std::uint8_t others, Expect expect) {
  for (unsigned code = 0; code < 256; ++code) {
    if ((code & 0x7F) == 0x7F) continue;
    for (std::size_t at = 0; at < 256; ++at) {
      Codes codes;
      codes.fill(others);
      codes[at + at % 4 * 256] = static_cast<std::uint8_t>(code);
      expect(codes);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

constexpr std::array<std::uint8_t, 3> others{0x00, 0x38, 0xFE};

TEST(E4m3Unpacker, is_exact_for_every_code_at_every_place) {
  for (const std::uint8_t other : others) {
    with_every_code_at_every_place(other, [](const Codes& codes) {
      Rows rows;
      avx512::unpack_e4m3(reinterpret_cast<const std::byte*>(codes.data()), 16,
                          reinterpret_cast<std::byte*>(rows.data()));
      expect_numbers(codes, rows, [](std::uint8_t code) { return e4m3_decode(code); });
    });
  }
}

TEST(E4m3Unpacker, takes_exponents_off_numbers_and_nothing_off_negative_zeros) {
  constexpr std::int32_t power = 119;
  for (const std::int32_t step : {0, 1, 100, 236}) {
    with_every_code_at_every_place(step % 2 == 0 ? 0x38 : 0x80, [&](Codes& codes) {
      for (std::uint8_t& code : codes) code = code == 0 ? 0x80 : code;
      Rows rows;
      const __m512i missing = _mm512_set1_epi16(static_cast<std::int16_t>(step * 128));
      avx512::E4m3Unpacker<power>().unpack(reinterpret_cast<const std::byte*>(codes.data()), 16, missing,
                                           reinterpret_cast<std::byte*>(rows.data()));
      expect_numbers(codes, rows, [&](std::uint8_t code) { return std::ldexp(e4m3_decode(code), power - step); });
    });
  }
}

}  // namespace
}  // namespace polymoe::layout

#else

TEST(E4m3Unpacker, needs_avx512_bf16) {
  GTEST_SKIP() << "compiled for a lesser instruction set";
}

#endif
