// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/codec_of.hpp"
#include "tests/support/random_matrix.hpp"

namespace polymoe::layout {
namespace {

using test::MatrixOptions;
using test::RandomMatrix;

template <class Element>
class Codecs : public testing::Test {};
using Elements = testing::Types<bf16, float>;
TYPED_TEST_SUITE(Codecs, Elements);

/// What may be lost: bf16 products read numbers below 2^-126 as zeros.
template <class Element>
bool is_flushed(double expected, double found) {
  return sizeof(Element) == 2 && found == 0.0 && std::abs(expected) < 0x1p-126;
}

/// Whether a weight may be NaN because another one of its record is.
template <class Codec_>
bool is_beside_nan(const std::vector<float>& values, std::int64_t k) {
  const auto first = values.begin() + k / Codec_::record_k * Codec_::record_k;
  return std::any_of(first, first + std::min<std::int64_t>(Codec_::record_k, values.end() - first),
                     [](float value) { return std::isnan(value); });
}

/// Packs a panel, unpacks it and finds the weights of the matrix, each rounded once.
template <class Codec_>
void expect_weights(RandomMatrix& random) {
  using Element = typename Codec_::Element;
  const quant::WeightMatrix& matrix = random.matrix();
  const RecordShape shape = Codec_::record_shape(random.storage(), matrix.columns);
  ASSERT_EQ(shape.bytes % 64, 0);
  PanelRows rows{};
  for (std::int64_t& row : rows) {
    row = static_cast<std::int64_t>(random.random()() % static_cast<std::uint64_t>(matrix.rows + 1)) - 1;
  }
  const std::int64_t records = (matrix.columns + Codec_::record_k - 1) / Codec_::record_k;
  const std::int64_t depth = records * Codec_::record_k;
  const Workspace packed(static_cast<std::size_t>(records * shape.bytes));
  const Workspace unpacked(static_cast<std::size_t>(depth * panel_columns) * sizeof(Element));
  std::vector<float> tail(static_cast<std::size_t>(shape.tail_floats));
  std::array<float, panel_columns> scales{};
  scales.fill(1.0F);
  Codec_::pack(packed.data(), shape, matrix, rows, scales.data());
  Codec_::pack_tail(tail.data(), shape, matrix, rows);
  // In two calls, as kernels do.
  const std::int64_t first = records / 2;
  Codec_::unpack(packed.data(), first, shape, tail.data(), unpacked.data());
  Codec_::unpack(packed.data() + first * shape.bytes, records - first, shape, tail.data(),
                 unpacked.data() + first * Codec_::record_k * panel_columns * std::int64_t{sizeof(Element)});

  const auto* const elements = reinterpret_cast<const Element*>(unpacked.data());
  std::vector<float> values(static_cast<std::size_t>(matrix.columns));
  for (std::int64_t column = 0; column < panel_columns; ++column) {
    const std::int64_t row = rows[static_cast<std::size_t>(column)];
    const float scale = scales[static_cast<std::size_t>(column)];
    if (row >= 0) matrix.values(row, 0, matrix.columns, values.data());
    if (std::isnan(scale)) {
      EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](float value) { return std::isnan(value); }));
      continue;
    }
    // Beside a block 2^200 times as large.
    double negligible = 0.0;
    if (row >= 0 && matrix.key.scale == QuantScale::e8m0) {
      for (std::int64_t g = 0; g < matrix.groups(); ++g) {
        negligible = std::max(negligible, static_cast<double>(matrix.scale(row, g)) * 0x1p-200);
      }
    }
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t run = k / run_k * run_k * panel_columns;
      const auto found = static_cast<float>(elements[run + element_place<Element>(column, k % run_k)]);
      if (std::isnan(found) && row >= 0 && is_beside_nan<Codec_>(values, k)) continue;
      if (row < 0 || k >= matrix.columns) {
        ASSERT_EQ(found, 0.0F) << "column " << column << " k " << k;
        continue;
      }
      const double exact = matrix.value(row, k);
      const double product = static_cast<double>(found) * static_cast<double>(scale);
      if (product == exact || (std::isnan(product) && std::isnan(exact))) continue;
      if (is_flushed<Element>(exact, product) || (product == 0.0 && std::abs(exact) < negligible)) continue;
      ASSERT_EQ(scale, 1.0F) << "column " << column << " k " << k << ": " << product << " for " << exact;
      const Element rounded(values[static_cast<std::size_t>(k)]);
      ASSERT_EQ(found, static_cast<float>(rounded)) << "column " << column << " k " << k << " for " << exact;
    }
  }
}

template <QuantKey key, class Element>
void expect_weights_of(MatrixOptions options, unsigned seed) {
  options.key = key;
  SCOPED_TRACE(options.describe());
  RandomMatrix random(options, seed);
  expect_weights<typename CodecOfKey<key, Element>::type>(random);
}

constexpr std::int64_t odd_rows = 150;

TYPED_TEST(Codecs, keep_fp8_and_int8_channels_exact) {
  unsigned seed = 1;
  for (const std::int64_t columns : {1, 31, 32, 100, 257}) {
    for (const bool nan_codes : {false, true}) {
      const MatrixOptions options{.rows = odd_rows, .columns = columns, .nan_codes = nan_codes};
      expect_weights_of<quant_key::fp8_static_channel, TypeParam>(options, ++seed);
      expect_weights_of<quant_key::fp8_static_tensor, TypeParam>(options, ++seed);
    }
    expect_weights_of<quant_key::int8_static_channel, TypeParam>({.rows = odd_rows, .columns = columns}, ++seed);
  }
}

TYPED_TEST(Codecs, round_fp8_blocks_once_wherever_their_edges_are) {
  unsigned seed = 1;
  for (const std::int64_t rows : {16, 128, 150, 300}) {
    for (const std::int64_t columns : {1, 127, 128, 200, 384}) {
      for (const bool nan_codes : {false, true}) {
        expect_weights_of<quant_key::fp8_static_block128, TypeParam>(
            {.rows = rows, .columns = columns, .nan_codes = nan_codes}, ++seed);
      }
    }
  }
}

TYPED_TEST(Codecs, keep_mx_formats_exact_for_every_scale) {
  unsigned seed = 1;
  for (const std::int64_t columns : {32, 64, 96, 256}) {
    for (const bool extremes : {false, true}) {
      const MatrixOptions options{.rows = odd_rows, .columns = columns, .extremes = extremes};
      expect_weights_of<quant_key::mxfp4_static, TypeParam>(options, ++seed);
      expect_weights_of<quant_key::mxfp8_static, TypeParam>(options, ++seed);
    }
  }
  expect_weights_of<quant_key::mxfp8_static, TypeParam>({.rows = odd_rows, .columns = 70, .nan_codes = true}, 5);
  expect_weights_of<quant_key::mxfp4_static, TypeParam>({.rows = odd_rows, .columns = 50}, 5);
}

TYPED_TEST(Codecs, keep_fp8_exact_whether_numbers_have_exponents_or_not) {
  unsigned seed = 1;
  // Zeros, subnormal numbers and zeros, both kinds among others, few of them, next to none.
  for (const float deviation : {1e-6F, 0.004F, 1.0F, 100.0F, 1000.0F}) {
    for (const std::int64_t columns : {96, 512, 600}) {
      const MatrixOptions options{.rows = odd_rows, .columns = columns, .deviation = deviation};
      expect_weights_of<quant_key::fp8_static_channel, TypeParam>(options, ++seed);
      expect_weights_of<quant_key::fp8_static_block128, TypeParam>(options, ++seed);
      expect_weights_of<quant_key::mxfp8_static, TypeParam>(options, ++seed);
      MatrixOptions extremes = options;
      extremes.extremes = true;
      expect_weights_of<quant_key::mxfp8_static, TypeParam>(extremes, ++seed);
    }
  }
}

TYPED_TEST(Codecs, keep_nvfp4_exact_for_every_scale) {
  unsigned seed = 1;
  for (const std::int64_t columns : {16, 32, 48, 66, 256}) {
    for (const bool extremes : {false, true}) {
      expect_weights_of<quant_key::nvfp4_static, TypeParam>(
          {.rows = odd_rows, .columns = columns, .extremes = extremes}, ++seed);
    }
  }
}

TYPED_TEST(Codecs, round_groups_of_integers_once) {
  unsigned seed = 1;
  for (const PackFormat format : {PackFormat::compressed_tensors, PackFormat::gptq, PackFormat::awq}) {
    for (const std::int32_t group_size : {32, 64, 128, quant::whole_row}) {
      for (const DType scale : {DType::f32, DType::bf16, DType::f16}) {
        for (const bool zero_points : {false, true}) {
          for (const bool group_index : {false, true}) {
            MatrixOptions options{.rows = 152,
                                  .columns = group_size > 0 ? 3 * group_size : 104,
                                  .group_size = group_size,
                                  .scale = scale,
                                  .zero_points = zero_points,
                                  .group_index = group_index,
                                  .pack_format = format};
            expect_weights_of<quant_key::int4_static_group, TypeParam>(options, ++seed);
            if (format == PackFormat::awq) continue;
            expect_weights_of<quant_key::int8_static_group, TypeParam>(options, ++seed);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace polymoe::layout
