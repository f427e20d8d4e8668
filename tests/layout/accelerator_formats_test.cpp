// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/layout/accelerator/bits.hpp"
#include "polymoe/layout/accelerator/marlin.hpp"
#include "polymoe/layout/accelerator/permutations.hpp"
#include "polymoe/layout/accelerator/weight_format.hpp"

namespace polymoe {
namespace {

using namespace layout::accelerator;
using Bytes = std::vector<std::byte>;

Bytes random_bytes(std::int64_t count) {
  std::mt19937 generator(static_cast<unsigned>(count));
  Bytes bytes(static_cast<std::size_t>(count));
  for (std::byte& b : bytes) b = static_cast<std::byte>(generator());
  return bytes;
}

Bytes run(const Relayout& plan, const Bytes& in) {
  EXPECT_EQ(plan.bytes(), static_cast<std::int64_t>(in.size()));
  SerialExecutor executor;
  Bytes out(in.size());
  relayout(plan, in.data(), out.data(), executor);
  Bytes back(in.size());
  relayout<Direction::inverse>(plan, out.data(), back.data(), executor);
  EXPECT_EQ(back, in) << "the inverse";
  return out;
}

/// The rules are stated as "view as these dimensions, then take them in this order", so that is what judges: plain
/// loops over the dimensions of the result, an element being `element` bytes.
Bytes viewed_and_permuted(const Bytes& in, const std::vector<std::int64_t>& dimensions, const std::vector<int>& order,
                          std::int64_t element) {
  std::vector<std::int64_t> strides(dimensions.size(), 1);
  for (std::size_t d = dimensions.size() - 1; d-- > 0;) strides[d] = strides[d + 1] * dimensions[d + 1];
  Bytes out;
  std::vector<std::int64_t> index(dimensions.size(), 0);
  const std::int64_t count = static_cast<std::int64_t>(in.size()) / element;
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t rest = n;
    for (std::size_t d = order.size(); d-- > 0;) {
      const auto axis = static_cast<std::size_t>(order[d]);
      index[axis] = rest % dimensions[axis];
      rest /= dimensions[axis];
    }
    const std::int64_t source = std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
    for (std::int64_t b = 0; b < element; ++b) out.push_back(in[static_cast<std::size_t>(source * element + b)]);
  }
  return out;
}

/// New row i is old row `row_of(i)`.
template <class F>
Bytes with_rows(const Bytes& in, const ByteMatrix& m, F row_of) {
  Bytes out;
  for (std::int64_t r = 0; r < m.rows; ++r) {
    const auto first = in.begin() + row_of(r) * m.columns;
    out.insert(out.end(), first, first + m.columns);
  }
  return out;
}

TEST(AcceleratorFormats, SwappedHalvesPutUpBeforeGate) {
  const ByteMatrix m{96, 40};
  const Bytes in = random_bytes(m.bytes());
  EXPECT_EQ(run(swap_halves(m), in), with_rows(in, m, [&](std::int64_t r) { return (r + 48) % 96; }));
}

TEST(AcceleratorFormats, InterleavedHalvesAlternateGateAndUp) {
  const ByteMatrix m{96, 40};
  const Bytes in = random_bytes(m.bytes());
  EXPECT_EQ(run(interleave_halves(m), in), with_rows(in, m, [](std::int64_t r) { return r % 2 * 48 + r / 2; }));
  EXPECT_EQ(run(deinterleave_rows(m), in), with_rows(in, m, [](std::int64_t r) { return r % 48 * 2 + r / 48; }));
  EXPECT_EQ(run(swap_row_pairs(m), in), with_rows(in, m, [](std::int64_t r) { return r % 2 == 0 ? r + 1 : r - 1; }));
}

TEST(AcceleratorFormats, GroupsOfRowsOfTheHalvesTakeTurns) {
  const ByteMatrix m{256, 24};
  const Bytes in = random_bytes(m.bytes());
  EXPECT_EQ(run(interleave_half_groups(m, 64), in),
            with_rows(in, m, [](std::int64_t r) { return r / 128 * 64 + r / 64 % 2 * 128 + r % 64; }));
}

TEST(AcceleratorFormats, ShuffledRowsFollowFlashInfersMaps) {
  const std::vector<std::int64_t> map16{0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15};
  const std::vector<std::int64_t> map32{0, 8,  16, 24, 1, 9,  17, 25, 2, 10, 18, 26, 3, 11, 19, 27,
                                        4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31};
  const ByteMatrix m{192, 40};
  const Bytes in = random_bytes(m.bytes());
  for (const auto& [tile, map] : {std::pair(64, map16), std::pair(128, map32)}) {
    Bytes expected(in.size());  // old row r goes to row map[r] of its block
    const auto block = static_cast<std::int64_t>(map.size());
    for (std::int64_t r = 0; r < m.rows; ++r) {
      const std::int64_t to = r / block * block + map[static_cast<std::size_t>(r % block)];
      std::copy_n(in.begin() + r * m.columns, m.columns, expected.begin() + to * m.columns);
    }
    EXPECT_EQ(run(shuffle_rows(m, tile), in), expected) << tile;
  }
}

TEST(AcceleratorFormats, ViewsArePermutedAsTheRulesSay) {
  const ByteMatrix m{512, 128};
  const Bytes in = random_bytes(m.bytes());
  const auto is = [&](const Relayout& plan, std::vector<std::int64_t> dimensions, std::vector<int> order) {
    return run(plan, in) == viewed_and_permuted(in, dimensions, order, 1);
  };
  EXPECT_TRUE(is(block_major_k(m, 32), {512, 4, 32}, {1, 0, 2}));
  EXPECT_TRUE(is(swizzle_128x4(m), {4, 4, 32, 32, 4}, {0, 3, 2, 1, 4}));
  EXPECT_TRUE(is(aiter_shuffle(m), {32, 16, 4, 2, 16}, {0, 2, 3, 1, 4}));
  EXPECT_TRUE(is(aiter_a16w4(m, true), {2, 16, 16, 2, 4, 16}, {1, 0, 3, 4, 2, 5}));
  EXPECT_TRUE(is(aiter_a16w4(m, false), {32, 16, 2, 4, 16}, {0, 2, 3, 1, 4}));
  EXPECT_TRUE(is(aiter_scale_a16w4(m, true), {2, 16, 16, 16, 2, 4}, {1, 3, 5, 2, 4, 0}));
  EXPECT_TRUE(is(aiter_scale_a16w4(m, false), {16, 2, 16, 16, 2, 4}, {0, 3, 5, 2, 4, 1}));
  EXPECT_TRUE(is(e8m0_shuffle(m), {16, 2, 16, 16, 2, 4}, {0, 3, 5, 2, 4, 1}));
  EXPECT_TRUE(is(hopper_mx_scale(m, 8), {2, 2, 8, 2, 8, 64, 2}, {0, 2, 5, 1, 4, 6, 3}));
  EXPECT_TRUE(is(hopper_mx_value(m), {32, 2, 4, 2, 4, 4, 2, 4}, {0, 2, 4, 3, 7, 5, 6, 1}));
  EXPECT_TRUE(is(cpu_vnni_pack(m, 4), {16, 32, 32, 4}, {0, 2, 1, 3}));
  EXPECT_TRUE(is(cpu_scale_pack(m), {16, 32, 128}, {0, 2, 1}));
  EXPECT_TRUE(is(transpose(m, 2), {512, 64, 2}, {1, 0, 2}));
  SerialExecutor executor;
  Bytes transposed(in.size());
  layout::accelerator::transpose<2>(m, in.data(), transposed.data(), executor);
  EXPECT_EQ(transposed, viewed_and_permuted(in, {512, 64, 2}, {1, 0, 2}, 1));
  EXPECT_TRUE(is(interleave_column_halves(m, 1), {512, 2, 64}, {0, 2, 1}));
}

TEST(AcceleratorFormats, MarlinsScalesFollowItsLists) {
  std::vector<std::int64_t> grouped;
  for (std::int64_t i = 0; i < 8; ++i) {
    for (std::int64_t j = 0; j < 8; ++j) grouped.push_back(i + 8 * j);
  }
  std::vector<std::int64_t> single;
  for (std::int64_t i = 0; i < 4; ++i) {
    for (const std::int64_t j : {0, 1, 8, 9, 16, 17, 24, 25}) single.push_back(2 * i + j);
  }
  const ByteMatrix m{6, 128 * 2};
  const Bytes in = random_bytes(m.bytes());
  const auto picked = [&](const std::vector<std::int64_t>& list) {
    Bytes out;
    for (std::size_t run_start = 0; run_start < in.size() / 2; run_start += list.size()) {
      for (const std::int64_t column : list) {
        const std::size_t from = 2 * (run_start + static_cast<std::size_t>(column));
        out.push_back(in[from]);
        out.push_back(in[from + 1]);
      }
    }
    return out;
  };
  EXPECT_EQ(run(marlin_scale_grouped(m, 2), in), picked(grouped));
  EXPECT_EQ(run(marlin_scale_single(m, 2), in), picked(single));
  EXPECT_EQ(run(marlin_scale_fp8_order(m, 2), in), picked({0, 2, 1, 3}));
}

/// Weight (k, n) of GPTQ words.
std::uint32_t gptq_value(const std::vector<std::uint32_t>& words, const MarlinShape& s, std::int64_t k,
                         std::int64_t n) {
  const std::int64_t per_word = 32 / s.bits;
  const std::uint32_t word = words[static_cast<std::size_t>(k / per_word * s.n + n)];
  return (word >> (s.bits * (k % per_word))) & ((1U << s.bits) - 1U);
}

std::vector<std::uint32_t> random_words(std::int64_t count) {
  std::mt19937 generator(7);
  std::vector<std::uint32_t> words(static_cast<std::size_t>(count));
  for (std::uint32_t& w : words) w = static_cast<std::uint32_t>(generator());
  return words;
}

TEST(AcceleratorFormats, MarlinsTilesHoldTheLanesFragments) {
  for (const int bits : {4, 8}) {
    const MarlinShape s{.k = 64, .n = 192, .bits = bits};
    const std::vector<std::uint32_t> in = random_words(s.words());
    std::vector<std::uint32_t> expected(in.size());
    for (std::int64_t tile = 0; tile < 4 * 3; ++tile) {
      for (std::int64_t warp = 0; warp < 4; ++warp) {
        for (std::int64_t lane = 0; lane < 32; ++lane) {
          std::uint32_t v[8];
          for (int i = 0; i < 8; ++i) {
            const std::int64_t rows[] = {0, 1, 8, 9};
            v[i] = gptq_value(in, s, tile / 3 * 16 + lane % 4 * 2 + rows[i % 4],
                              tile % 3 * 64 + warp * 16 + lane / 4 + (i < 4 ? 0 : 8));
          }
          if (bits == 4) {
            const int order[] = {0, 2, 4, 6, 1, 3, 5, 7};
            std::uint32_t word = 0;
            for (int i = 0; i < 8; ++i) word |= v[order[i]] << (4 * i);
            expected[static_cast<std::size_t>(tile * 128 + lane * 4 + warp)] = word;
          } else {
            const int order[] = {0, 2, 1, 3};
            for (int half = 0; half < 2; ++half) {
              std::uint32_t word = 0;
              for (int i = 0; i < 4; ++i) word |= v[4 * half + order[i]] << (8 * i);
              expected[static_cast<std::size_t>(tile * 256 + lane * 8 + warp * 2 + half)] = word;
            }
          }
        }
      }
    }
    SerialExecutor executor;
    std::vector<std::uint32_t> out(in.size());
    marlin_repack(s, in.data(), out.data(), executor);
    EXPECT_EQ(out, expected) << bits;
  }
}

TEST(AcceleratorFormats, MarlinsTilesForNarrowActivationsHoldThirtyTwoRows) {
  const MarlinShape s{.k = 64, .n = 64, .bits = 8, .narrow_activations = true};
  const std::vector<std::uint32_t> in = random_words(s.words());
  SerialExecutor executor;
  std::vector<std::uint32_t> out(in.size());
  marlin_repack(s, in.data(), out.data(), executor);
  for (std::int64_t tile = 0; tile < 4; ++tile) {
    for (std::int64_t warp = 0; warp < 4; ++warp) {
      for (std::int64_t lane = 0; lane < 32; ++lane) {
        const std::int64_t column = tile % 2 * 32 + warp / 2 * 16 + warp % 2 * 8 + lane / 4;
        for (std::int64_t i = 0; i < 8; ++i) {
          const std::int64_t row = tile / 2 * 32 + lane % 4 * 4 + i % 4 + (i < 4 ? 0 : 16);
          const std::uint32_t word = out[static_cast<std::size_t>(tile * 256 + lane * 8 + warp * 2 + i / 4)];
          EXPECT_EQ((word >> (8 * (i % 4))) & 0xFFU, gptq_value(in, s, row, column));
        }
      }
    }
  }
}

TEST(AcceleratorFormats, AwqsInterleaveIsUndone) {
  for (const int bits : {4, 8}) {
    const MarlinShape s{.k = 32, .n = 128, .bits = bits};
    const std::vector<std::uint32_t> gptq = random_words(s.words());
    const std::int64_t per_word = 32 / bits;
    const std::vector<std::int64_t> place =
        bits == 4 ? std::vector<std::int64_t>{0, 4, 1, 5, 2, 6, 3, 7} : std::vector<std::int64_t>{0, 2, 1, 3};
    std::vector<std::uint32_t> awq(gptq.size());
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t n = 0; n < s.n; ++n) {
        awq[static_cast<std::size_t>((k * s.n + n) / per_word)] |=
            gptq_value(gptq, s, k, n) << (bits * place[static_cast<std::size_t>(n % per_word)]);
      }
    }
    SerialExecutor executor;
    std::vector<std::uint32_t> from_gptq(gptq.size());
    std::vector<std::uint32_t> from_awq(gptq.size());
    marlin_repack(s, gptq.data(), from_gptq.data(), executor);
    marlin_repack<AwqPacking>(s, awq.data(), from_awq.data(), executor);
    EXPECT_EQ(from_awq, from_gptq);
    std::vector<std::uint32_t> back(awq.size());
    marlin_unpack<AwqPacking>(s, from_awq.data(), back.data(), executor);
    EXPECT_EQ(back, awq);
  }
}

TEST(AcceleratorFormats, MarlinsRepackIsUndone) {
  SerialExecutor executor;
  for (const int bits : {4, 8}) {
    for (const bool narrow : {false, true}) {
      const MarlinShape s{.k = 96, .n = 192, .bits = bits, .narrow_activations = narrow};
      const std::vector<std::uint32_t> in = random_words(s.words());
      std::vector<std::uint32_t> packed(in.size());
      std::vector<std::uint32_t> back(in.size());
      marlin_repack(s, in.data(), packed.data(), executor);
      marlin_unpack(s, packed.data(), back.data(), executor);
      EXPECT_EQ(back, in) << bits << narrow;
    }
  }
}

TEST(AcceleratorFormats, ActOrderTakesTheRowsThatItsListNames) {
  SerialExecutor executor;
  for (const int bits : {4, 8}) {
    const MarlinShape s{.k = 96, .n = 100, .bits = bits};
    std::vector<std::int32_t> perm(static_cast<std::size_t>(s.k));
    std::iota(perm.begin(), perm.end(), 0);
    std::shuffle(perm.begin(), perm.end(), std::mt19937(5));
    const std::vector<std::uint32_t> in = random_words(s.words());
    std::vector<std::uint32_t> out(in.size());
    permute_gptq_rows(s, perm, in.data(), out.data(), executor);
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t n = 0; n < s.n; ++n) {
        EXPECT_EQ(gptq_value(out, s, k, n), gptq_value(in, s, perm[static_cast<std::size_t>(k)], n));
      }
    }
    std::vector<std::uint32_t> back(in.size());
    permute_gptq_rows<Direction::inverse>(s, perm, out.data(), back.data(), executor);
    EXPECT_EQ(back, in);
  }
}

TEST(AcceleratorFormats, ZeroPointsGoThroughThreeOrders) {
  SerialExecutor executor;
  const MarlinShape zeros{.k = 3, .n = 128, .bits = 4};
  const std::vector<std::uint32_t> in = random_words(zeros.words());
  const std::int64_t undo[] = {0, 4, 1, 5, 2, 6, 3, 7};
  const std::int64_t nibbles[] = {0, 2, 4, 6, 1, 3, 5, 7};
  std::vector<std::uint32_t> expected;
  for (std::size_t group = 0; group < 3; ++group) {
    std::vector<std::uint32_t> plain;  // AWQ's interleave undone
    for (std::size_t n = 0; n < 128; ++n) plain.push_back((in[group * 16 + n / 8] >> (4 * undo[n % 8])) & 0xFU);
    std::vector<std::uint32_t> permuted;  // as grouped scales
    for (std::size_t run_start = 0; run_start < 128; run_start += 64) {
      for (std::size_t i = 0; i < 8; ++i) {
        for (std::size_t j = 0; j < 8; ++j) permuted.push_back(plain[run_start + i + 8 * j]);
      }
    }
    for (std::size_t w = 0; w < 16; ++w) {
      std::uint32_t word = 0;
      for (std::size_t i = 0; i < 8; ++i) word |= permuted[w * 8 + static_cast<std::size_t>(nibbles[i])] << (4 * i);
      expected.push_back(word);
    }
  }
  std::vector<std::uint32_t> out(in.size());
  marlin_zero_points(zeros, in.data(), out.data(), executor);
  EXPECT_EQ(out, expected);
  std::vector<std::uint32_t> back(in.size());
  marlin_zero_points<Direction::inverse>(zeros, out.data(), back.data(), executor);
  EXPECT_EQ(back, in);
}

TEST(AcceleratorFormats, TwiddledBitsAreEightValuesThatAMaskAndAShiftUnpack) {
  constexpr std::uint32_t bf16_mask = 0x81C081C0U;  // sign, two exponent bits, mantissa bit of two half-words
  for (const std::uint32_t bytes : random_words(2000)) {
    const std::uint32_t word = twiddle_fp4(bytes);
    EXPECT_EQ(untwiddle_fp4(word), bytes);
    for (unsigned i = 0; i < 3; ++i) {
      const std::uint32_t value = (bytes >> (8 * i)) & 0xFFU;
      const auto wide = [](std::uint32_t v) { return ((v & 8U) << 12) | ((v & 7U) << 6); };
      EXPECT_EQ((word << (3 * i)) & bf16_mask, wide(value & 0xFU) | (wide(value >> 4) << 16));
    }
  }
}

TEST(AcceleratorFormats, NibblesOfPanelsFollowTheRule) {
  const ByteMatrix m{64, 12};
  const Bytes in = random_bytes(m.bytes());
  SerialExecutor executor;
  Bytes out(in.size());
  cpu_vnni_pack_nibbles(m, in.data(), out.data(), executor);
  for (std::int64_t panel = 0; panel < 2; ++panel) {
    for (std::int64_t k = 0; k < m.columns; ++k) {
      std::vector<std::byte> nibbles;  // row 0 low, row 0 high, row 1 low, ...
      for (std::int64_t row = 0; row < 32; ++row) {
        const std::byte b = in[static_cast<std::size_t>((panel * 32 + row) * m.columns + k)];
        nibbles.push_back(b & std::byte{0xF});
        nibbles.push_back(b >> 4);
      }
      for (std::size_t n = 0; n < 32; ++n) {
        EXPECT_EQ(out[static_cast<std::size_t>((panel * m.columns + k) * 32) + n], nibbles[n] | (nibbles[n + 32] << 4));
      }
    }
  }
  Bytes back(in.size());
  cpu_vnni_pack_nibbles<Direction::inverse>(m, out.data(), back.data(), executor);
  EXPECT_EQ(back, in);
}

TEST(AcceleratorFormats, DeepGemmsScalesStandColumnByColumnInWordsOfFour) {
  const DeepGemmScaleShape s{.rows = 200, .groups = 7, .block_rows = 128};
  std::vector<std::uint8_t> in(2 * 7);
  std::iota(in.begin(), in.end(), std::uint8_t{100});
  SerialExecutor executor;
  std::vector<std::uint32_t> out(static_cast<std::size_t>(s.words()));
  EXPECT_EQ(s.words(), 2 * 200);
  deep_gemm_pack_scales(s, in.data(), out.data(), executor);
  for (std::int64_t row = 0; row < s.rows; ++row) {
    for (std::int64_t g = 0; g < s.groups; ++g) {
      const std::uint32_t word = out[static_cast<std::size_t>(g / 4 * 200 + row)];
      EXPECT_EQ((word >> (8 * (g % 4))) & 0xFFU, in[static_cast<std::size_t>(row / 128 * 7 + g)]);
    }
  }
  std::vector<std::uint8_t> back(in.size());
  deep_gemm_unpack_scales(s, out.data(), back.data(), executor);
  EXPECT_EQ(back, in);
}

TEST(AcceleratorFormats, PowersOfTwoAreTheirExponents) {
  for (int byte = 0; byte < 255; ++byte) {
    const float scale = scale_of_e8m0(static_cast<std::uint8_t>(byte));
    EXPECT_EQ(static_cast<double>(scale), std::ldexp(1.0, byte - 127));
    EXPECT_EQ(e8m0_of(scale), byte);
  }
  EXPECT_TRUE(std::isnan(scale_of_e8m0(255)));
}

/// Runs pieces from the last to the first, so that an order on which a result depends would show.
struct BackwardExecutor {
  int concurrency() const { return 3; }
  template <class F>
  void parallel_for(std::int64_t count, F f) {
    for (std::int64_t i = count; i-- > 0;) f(i, static_cast<int>(i % 3));
  }
};

TEST(AcceleratorFormats, EveryBackendsFormatIsUndone) {
  using quant::Family;
  const struct {
    Family family;
    std::string_view backend;
    QuantKey key;
  } rows[] = {
      {Family::unquantized, "FLASHINFER_TRTLLM", {}},
      {Family::unquantized, "FLASHINFER_CUTLASS", {}},
      {Family::unquantized, "AITER", {}},
      {Family::unquantized, "XPU", {}},
      {Family::unquantized, "CPU", {}},
      {Family::unquantized, "TRITON", {}},
      {Family::fp8, "FLASHINFER_TRTLLM", quant_key::fp8_static_block128},
      {Family::fp8, "FLASHINFER_TRTLLM", quant_key::fp8_static_tensor},
      {Family::mxfp8, "FLASHINFER_TRTLLM", quant_key::mxfp8_static},
      {Family::fp8, "FLASHINFER_CUTLASS", quant_key::fp8_static_block128},
      {Family::fp8, "AITER", quant_key::fp8_static_channel},
      {Family::fp8, "MARLIN", quant_key::fp8_static_block128},
      {Family::fp8, "MARLIN", quant_key::fp8_static_channel},
      {Family::mxfp8, "MARLIN", quant_key::mxfp8_static},
      {Family::fp8, "XPU", quant_key::fp8_static_tensor},
      {Family::fp8, "CPU", quant_key::fp8_static_block128},
      {Family::nvfp4, "FLASHINFER_TRTLLM", quant_key::nvfp4_static},
      {Family::nvfp4, "FLASHINFER_CUTLASS", quant_key::nvfp4_static},
      {Family::nvfp4, "FLASHINFER_CUTEDSL", quant_key::nvfp4_static},
      {Family::nvfp4, "VLLM_CUTLASS", quant_key::nvfp4_static},
      {Family::nvfp4, "MARLIN", quant_key::nvfp4_static},
      {Family::mxfp4, "FLASHINFER_TRTLLM_MXFP4_BF16", quant_key::mxfp4_static},
      {Family::mxfp4, "FLASHINFER_CUTLASS_MXFP4_MXFP8", quant_key::mxfp4_static},
      {Family::mxfp4, "MARLIN", quant_key::mxfp4_static},
      {Family::mxfp4, "AITER_MXFP4_BF16", quant_key::mxfp4_static},
      {Family::mxfp4, "AITER_MXFP4_MXFP4", quant_key::mxfp4_static},
      {Family::mxfp4, "TRITON", quant_key::mxfp4_static},
      {Family::mxfp4, "CPU", quant_key::mxfp4_static},
      {Family::int_wna16, "MARLIN", quant_key::int4_static_group},
      {Family::int_wna16, "MARLIN", quant_key::int8_static_group},
  };
  for (const auto& row : rows) {
    for (const Target& target : {target::hopper, target::blackwell, target::mi355x}) {
      for (const bool interleaved : {false, true}) {
        const WeightFormat format = weight_format({.family = row.family,
                                                   .backend = row.backend,
                                                   .weight_key = row.key,
                                                   .interleaved_w13 = interleaved,
                                                   .target = target});
        const auto is_undone = [&](const TensorFormat& tensor, const ByteMatrix& m) {
          const Bytes in = random_bytes(m.bytes());
          SerialExecutor serial;
          BackwardExecutor backward;
          const Bytes out = convert(tensor, m, in.data(), serial);
          EXPECT_EQ(static_cast<std::int64_t>(out.size()), tensor.shape_after(m).bytes());
          EXPECT_EQ(convert(tensor, m, in.data(), backward), out) << row.backend;
          EXPECT_EQ(restore(tensor, m, out.data(), backward), in) << row.backend;
        };
        is_undone(format.w13, {512, 256});
        is_undone(format.w2, {256, 128});
        is_undone(format.w13_scale, {512, 128});
        is_undone(format.w2_scale, {256, 128});
      }
    }
  }
}

TEST(AcceleratorFormats, Mxfp4SizesAreRoundedUpAsRecorded) {
  const auto rounded = [](std::string_view backend, std::int64_t h, std::int64_t i, const Target& on) {
    const SizeMultiples m = weight_format({.family = quant::Family::mxfp4, .backend = backend, .target = on}).multiples;
    return std::pair(round_up(h, m.hidden), round_up(i, m.intermediate));
  };
  using Sizes = std::pair<std::int64_t, std::int64_t>;
  EXPECT_EQ(rounded("MARLIN", 2880, 2880, target::blackwell), Sizes(3072, 2944));
  EXPECT_EQ(rounded("FLASHINFER_TRTLLM_MXFP4_BF16", 2880, 360, target::blackwell), Sizes(3072, 512));
  EXPECT_EQ(rounded("FLASHINFER_CUTLASS_MXFP4_MXFP8", 4097, 33, target::blackwell), Sizes(4224, 128));
  EXPECT_EQ(rounded("TRITON", 2880, 360, target::blackwell), Sizes(2880, 384));
  EXPECT_EQ(rounded("CPU", 100, 200, target::sapphire_rapids), Sizes(128, 224));
  EXPECT_EQ(rounded("TRITON", 2880, 2880, target::mi300x), Sizes(3072, 3072));
}

}  // namespace
}  // namespace polymoe
