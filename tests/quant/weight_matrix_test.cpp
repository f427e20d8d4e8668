// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/quant/weight_matrix.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "polymoe/quant/validate.hpp"
#include "tests/support/random_checkpoint.hpp"

// Every test writes numbers into a checkpoint by the words of layer_file.md and finds them again.

namespace polymoe::quant {
namespace {

using test::TensorStore;

constexpr std::int64_t experts = 2;
constexpr std::int64_t hidden = 128;
constexpr std::int64_t intermediate = 64;
constexpr LayerShape shape{.num_local_experts = experts, .hidden_size = hidden, .intermediate_size = intermediate};

/// A number for every weight that tells expert, row and column apart as well as the codes can.
std::uint8_t code_of(std::int64_t expert, std::int64_t row, std::int64_t column, unsigned codes) {
  const auto mixed = static_cast<std::uint64_t>(expert * 7919 + row * 131 + column * 17 + row * column);
  return static_cast<std::uint8_t>((mixed ^ (mixed >> 5)) % codes);
}

struct Words {
  std::vector<std::uint32_t> words;
  std::uint32_t operator()(std::int64_t i) const { return words[static_cast<std::size_t>(i)]; }
};

/// Codes of [E, rows, columns] in the words of a pack format, written as the page says it.
Words packed(PackFormat format, int bits, std::int64_t rows, std::int64_t columns) {
  const std::int64_t in_word = 32 / bits;
  Words result{std::vector<std::uint32_t>(static_cast<std::size_t>(experts * rows * columns / in_word))};
  constexpr int awq_order[]{0, 2, 4, 6, 1, 3, 5, 7};
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::int64_t n = 0; n < rows; ++n) {
      for (std::int64_t k = 0; k < columns; ++k) {
        std::int64_t word = 0;
        std::int64_t place = 0;
        switch (format) {
          case PackFormat::compressed_tensors:
            word = (e * rows + n) * (columns / in_word) + k / in_word;
            place = k % in_word;
            break;
          case PackFormat::gptq:
            word = (e * (columns / in_word) + k / in_word) * rows + n;
            place = k % in_word;
            break;
          case PackFormat::awq:
            word = (e * columns + k) * (rows / 8) + n / 8;
            while (awq_order[place] != n % 8) ++place;
            break;
        }
        result.words[static_cast<std::size_t>(word)] |= static_cast<std::uint32_t>(code_of(e, n, k, 1U << bits))
                                                        << (bits * place);
      }
    }
  }
  return result;
}

TEST(WeightMatrix, reads_codes_scales_and_zero_points_of_every_pack_format) {
  constexpr std::int64_t group = 32;
  for (const PackFormat format : {PackFormat::compressed_tensors, PackFormat::gptq, PackFormat::awq}) {
    for (const int bits : {4, 8}) {
      for (const bool with_zeros : {false, true}) {
        if (format == PackFormat::awq && bits == 8) continue;
        TensorStore store;
        MoECheckpoint checkpoint;
        checkpoint.pack_format = format;
        const auto fill = [&](ProjectionTensors& tensors, std::int64_t rows, std::int64_t columns) {
          const bool rows_last = format != PackFormat::compressed_tensors;
          const std::int64_t groups = columns / group;
          const std::int64_t words = columns * bits / 32;
          const Words codes = packed(format, bits, rows, columns);
          tensors.weight = format == PackFormat::awq
                               ? store.filled<std::uint32_t>(DType::i32, {experts, columns, rows / 8}, codes)
                           : rows_last ? store.filled<std::uint32_t>(DType::i32, {experts, words, rows}, codes)
                                       : store.filled<std::uint32_t>(DType::i32, {experts, rows, words}, codes);
          const auto scale = [&](std::int64_t i) { return 0.5F + static_cast<float>(i); };
          const auto zero = [&](std::int64_t i) { return static_cast<std::uint8_t>(i % (1 << bits)); };
          if (rows_last) {
            tensors.weight_scale = store.filled<float>(DType::f32, {experts, groups, rows}, scale);
            if (with_zeros) tensors.zero_point = store.filled<std::uint8_t>(DType::u8, {experts, groups, rows}, zero);
          } else {
            tensors.weight_scale = store.filled<float>(DType::f32, {experts, rows, groups}, scale);
            if (with_zeros) tensors.zero_point = store.filled<std::uint8_t>(DType::u8, {experts, rows, groups}, zero);
          }
        };
        fill(checkpoint.w13, 2 * intermediate, hidden);
        fill(checkpoint.w2, hidden, intermediate);
        const QuantKey key = bits == 4 ? quant_key::int4_static_group : quant_key::int8_static_group;
        if (bits == 4) {
          make_quant_config<IntWna16<4>>(checkpoint);
          EXPECT_EQ(checkpoint_group_size<IntWna16<4>>(checkpoint), group);
        } else {
          make_quant_config<IntWna16<8, group>>(checkpoint);
        }
        for (std::int64_t e = 0; e < experts; ++e) {
          const auto check = [&](const WeightMatrix& matrix) {
            const std::int64_t groups = matrix.columns / group;
            ASSERT_EQ(matrix.groups(), groups);
            std::vector<std::uint8_t> codes(static_cast<std::size_t>(matrix.columns));
            for (std::int64_t n = 0; n < matrix.rows; ++n) {
              matrix.codes_row(n, codes.data());
              for (std::int64_t k = 0; k < matrix.columns; ++k) {
                const std::int64_t g = k / group;
                const std::int64_t index = format == PackFormat::compressed_tensors
                                               ? (e * matrix.rows + n) * groups + g
                                               : (e * groups + g) * matrix.rows + n;
                const int code = code_of(e, n, k, 1U << bits);
                const int zero = with_zeros ? static_cast<int>(index % (1 << bits)) : 1 << (bits - 1);
                ASSERT_EQ(codes[static_cast<std::size_t>(k)], code) << name(format) << bits << " " << n << " " << k;
                ASSERT_EQ(matrix.zero(n, g), zero);
                ASSERT_EQ(matrix.value(n, k), (code - zero) * (0.5 + static_cast<double>(index)));
              }
            }
          };
          check(weight_matrix(checkpoint, checkpoint.w13, key, e, 2 * intermediate, hidden));
          check(weight_matrix(checkpoint, checkpoint.w2, key, e, hidden, intermediate));
        }
      }
    }
  }
}

TEST(WeightMatrix, takes_the_group_of_a_column_from_g_idx) {
  TensorStore store;
  MoECheckpoint checkpoint;
  checkpoint.pack_format = PackFormat::gptq;
  checkpoint.w13 = {.weight = store.random_bytes(DType::i32, {experts, hidden / 8, 2 * intermediate}),
                    .weight_scale = store.random_floats({experts, hidden / 32, 2 * intermediate}, 0.5F, 2.0F),
                    .g_idx = store.filled<std::int32_t>(DType::i32, {experts, hidden},
                                                        [](std::int64_t i) { return static_cast<int>(i * 5 % 4); })};
  checkpoint.w2 = {.weight = store.random_bytes(DType::i32, {experts, intermediate / 8, hidden}),
                   .weight_scale = store.random_floats({experts, intermediate / 32, hidden}, 0.5F, 2.0F)};
  make_quant_config<IntWna16<4>>(checkpoint);
  const ExpertCheckpoint expert = expert_checkpoint<IntWna16<4>>(checkpoint, 1, shape);
  EXPECT_FALSE(expert.w13.has_groups_in_order());
  EXPECT_TRUE(expert.w2.has_groups_in_order());
  std::vector<std::uint8_t> codes(hidden);
  std::vector<float> values(hidden);
  for (std::int64_t n = 0; n < expert.w13.rows; ++n) {
    expert.w13.codes_row(n, codes.data());
    expert.w13.values(n, 0, hidden, values.data());
    for (std::int64_t k = 0; k < hidden; ++k) {
      const double expected =
          (codes[static_cast<std::size_t>(k)] - 8) * static_cast<double>(expert.w13.scale(n, (hidden + k) * 5 % 4));
      EXPECT_EQ(expert.w13.value(n, k), expected);
      EXPECT_FLOAT_EQ(values[static_cast<std::size_t>(k)], static_cast<float>(expected));
    }
  }
}

/// The scale of w13's row n is that of w1 or of w3, wherever its rows are.
TEST(WeightMatrix, finds_the_scales_of_w1_and_w3_in_both_layouts) {
  for (const W13Layout layout : {W13Layout::concatenated, W13Layout::interleaved}) {
    TensorStore store;
    MoECheckpoint checkpoint;
    checkpoint.w13_layout = layout;
    checkpoint.w13.weight = store.filled<std::uint8_t>(DType::f8_e4m3, {experts, 2 * intermediate, hidden},
                                                       [](std::int64_t) { return std::uint8_t{0x38}; });
    checkpoint.w2.weight = store.filled<std::uint8_t>(DType::f8_e4m3, {experts, hidden, intermediate},
                                                      [](std::int64_t) { return std::uint8_t{0xB8}; });
    const auto counted = [](std::int64_t i) { return static_cast<float>(i + 1); };
    checkpoint.w13.weight_scale = store.filled<float>(DType::f32, {experts, 2}, counted);
    checkpoint.w2.weight_scale = store.filled<float>(DType::f32, {experts}, counted);
    make_quant_config<Fp8Tensor>(checkpoint);
    for (std::int64_t e = 0; e < experts; ++e) {
      const ExpertCheckpoint expert = expert_checkpoint<Fp8Tensor>(checkpoint, e, shape);
      for (std::int64_t i = 0; i < intermediate; ++i) {
        EXPECT_EQ(expert.w13.value(expert.gate_row(i, intermediate), 3), static_cast<double>(2 * e + 1));
        EXPECT_EQ(expert.w13.value(expert.up_row(i, intermediate), 3), static_cast<double>(2 * e + 2));
      }
      EXPECT_EQ(expert.w2.value(5, 6), -static_cast<double>(e + 1));
    }
  }
}

TEST(WeightMatrix, multiplies_both_scales_of_nvfp4_and_takes_reciprocals_where_they_are_stored) {
  for (const bool reciprocal : {false, true}) {
    TensorStore store;
    MoECheckpoint checkpoint;
    checkpoint.reciprocal_global_scale = reciprocal;
    checkpoint.w13.weight = store.random_bytes(DType::u8, {experts, 2 * intermediate, hidden / 2});
    checkpoint.w2.weight = store.random_bytes(DType::u8, {experts, hidden, intermediate / 2});
    const auto e4m3 = [](std::int64_t i) { return static_cast<std::uint8_t>(i % 0x7F); };
    checkpoint.w13.weight_scale =
        store.filled<std::uint8_t>(DType::f8_e4m3, {experts, 2 * intermediate, hidden / 16}, e4m3);
    checkpoint.w2.weight_scale = store.filled<std::uint8_t>(DType::f8_e4m3, {experts, hidden, intermediate / 16}, e4m3);
    const auto powers = [](std::int64_t i) { return std::ldexp(1.0F, -static_cast<int>(i)); };
    checkpoint.w13.weight_scale_2 = store.filled<float>(DType::f32, {experts, 2}, powers);
    checkpoint.w2.weight_scale_2 = store.filled<float>(DType::f32, {experts}, powers);
    checkpoint.w13.input_scale = store.filled<float>(DType::f32, {experts}, powers);
    checkpoint.w2.input_scale = store.filled<float>(DType::f32, {1}, powers);
    const QuantConfig config = make_quant_config<NvFp4Faithful>(checkpoint);
    EXPECT_EQ(config.w13_input_scale, reciprocal ? 2.0F : 1.0F);
    constexpr double numbers[]{0, .5, 1, 1.5, 2, 3, 4, 6, -0.0, -.5, -1, -1.5, -2, -3, -4, -6};
    for (std::int64_t e = 0; e < experts; ++e) {
      const WeightMatrix w13 = expert_checkpoint<NvFp4>(checkpoint, e, shape).w13;
      for (std::int64_t n = 0; n < w13.rows; ++n) {
        const int exponent = static_cast<int>(2 * e + (n >= intermediate ? 1 : 0));
        for (std::int64_t k = 0; k < w13.columns; ++k) {
          const auto byte =
              std::to_integer<unsigned>(checkpoint.w13.weight.data[((e * w13.rows + n) * hidden + k) / 2]);
          const double block = static_cast<double>(e4m3_decode(e4m3((e * w13.rows + n) * (hidden / 16) + k / 16)));
          EXPECT_EQ(w13.value(n, k),
                    numbers[(byte >> (k % 2 * 4)) & 15U] * block * std::ldexp(1.0, reciprocal ? exponent : -exponent));
        }
      }
    }
  }
}

TEST(WeightMatrix, lets_the_blocks_at_the_edges_be_partial) {
  constexpr std::int64_t rows = 2 * 200;
  constexpr std::int64_t columns = 130;
  TensorStore store;
  MoECheckpoint checkpoint;
  const auto one = [](std::int64_t) { return std::uint8_t{0x38}; };
  const auto counted = [](std::int64_t i) { return static_cast<float>(i + 1); };
  checkpoint.w13.weight = store.filled<std::uint8_t>(DType::f8_e4m3, {experts, rows, columns}, one);
  checkpoint.w13.weight_scale = store.filled<float>(DType::f32, {experts, 4, 2}, counted);
  checkpoint.w2.weight = store.filled<std::uint8_t>(DType::f8_e4m3, {experts, columns, rows / 2}, one);
  checkpoint.w2.weight_scale = store.filled<float>(DType::f32, {experts, 2, 2}, counted);
  make_quant_config<Fp8Block128>(checkpoint);
  const WeightMatrix w13 = weight_matrix(checkpoint, checkpoint.w13, quant_key::fp8_static_block128, 1, rows, columns);
  EXPECT_EQ(w13.groups(), 2);
  EXPECT_EQ(w13.value(0, 0), 9.0);
  EXPECT_EQ(w13.value(127, 128), 10.0);
  EXPECT_EQ(w13.value(128, 127), 11.0);
  EXPECT_EQ(w13.value(399, 129), 16.0);
}

TEST(WeightMatrix, reads_every_e8m0_scale_and_both_ways_to_store_its_type) {
  TensorStore store;
  MoECheckpoint checkpoint;
  constexpr std::int64_t rows = 256;
  const auto code = [](std::int64_t i) { return static_cast<std::uint8_t>(i % 256); };
  checkpoint.w13.weight =
      store.filled<std::uint8_t>(DType::u8, {1, rows, 16}, [](std::int64_t) { return std::uint8_t{0x22}; });
  checkpoint.w13.weight_scale = store.filled<std::uint8_t>(DType::u8, {1, rows, 1}, code);
  checkpoint.w2.weight = store.zeros(DType::u8, {1, 32, rows / 2});
  checkpoint.w2.weight_scale = store.zeros(DType::e8m0, {1, 32, rows / 32});
  make_quant_config<Mxfp4>(checkpoint, Activation::silu_no_mul);
  const WeightMatrix w13 = weight_matrix(checkpoint, checkpoint.w13, quant_key::mxfp4_static, 0, rows, 32);
  for (int n = 0; n < 255; ++n) EXPECT_EQ(w13.value(n, 1), std::ldexp(1.0, n - 127));
  EXPECT_TRUE(std::isnan(w13.value(255, 1)));
  EXPECT_EQ(w13.scale_code(200, 0), 200);
}

}  // namespace
}  // namespace polymoe::quant
