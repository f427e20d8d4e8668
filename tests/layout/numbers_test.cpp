// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/numbers.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/codec_of.hpp"
#include "tests/support/random_matrix.hpp"
#include "tests/support/vectors.hpp"

namespace polymoe::layout {
namespace {

using test::MatrixOptions;
using test::RandomMatrix;

template <class V>
class Numbers : public testing::Test {};
TYPED_TEST_SUITE(Numbers, test::Vectors);

/// Numbers times scales are the weights that are unpacked to memory.
template <class V, QuantKey key>
void expect_unpacked_weights(MatrixOptions options, unsigned seed) {
  using C = typename CodecOfKey<key, float>::type;
  using OfRecord = typename C::template Numbers<V>;
  static_assert(NumbersCodec<C, V>);
  constexpr std::size_t width = vector::width<V>;
  options.key = key;
  options.rows = panel_columns;
  SCOPED_TRACE(options.describe());
  RandomMatrix random(options, seed);
  const RecordShape shape = C::record_shape(random.storage(), options.columns);
  ASSERT_TRUE(OfRecord::serves(shape));
  PanelRows rows{};
  for (std::size_t column = 0; column < rows.size(); ++column) rows[column] = static_cast<std::int64_t>(column) - 1;
  const std::int64_t records = (options.columns + C::record_k - 1) / C::record_k;
  const Workspace packed(static_cast<std::size_t>(records * shape.bytes));
  const Workspace unpacked(static_cast<std::size_t>(records * C::record_k * panel_columns) * sizeof(float));
  std::array<float, panel_columns> column_scales;
  C::pack(packed.data(), shape, random.matrix(), rows, column_scales.data());
  C::unpack(packed.data(), records, shape, nullptr, unpacked.data());
  const auto* weights = reinterpret_cast<const float*>(unpacked.data());
  for (std::int64_t record = 0; record < records; ++record) {
    const OfRecord numbers(packed.data() + record * shape.bytes, shape);
    ASSERT_EQ(C::record_k / step_of_numbers % numbers.steps_of_group(), 0);
    for (std::int64_t step = 0; step < C::record_k / step_of_numbers; ++step, weights += 16 * panel_columns) {
      std::vector<std::int64_t> next_k(static_cast<std::size_t>(vectors_of_row<V>), 0);
      numbers.for_step(step, [&](std::int64_t k, std::int64_t v, V number) {
        ASSERT_EQ(k, next_k[static_cast<std::size_t>(v)]++) << "vector " << v;
        number = number * V(OfRecord::unit);
        if constexpr (OfRecord::has_scales) number = number * numbers.scale(step, v);
        std::array<float, width> found;
        vector::store(found.data(), number);
        for (std::size_t i = 0; i < width; ++i) {
          const std::int64_t column = v * static_cast<std::int64_t>(width) + static_cast<std::int64_t>(i);
          const float expected = weights[element_place<float>(column, k)];
          ASSERT_TRUE(found[i] == expected || (std::isnan(found[i]) && std::isnan(expected)))
              << found[i] << " for " << expected << ", column " << column << " k " << k << " of step " << step;
        }
      });
      for (const std::int64_t k : next_k) ASSERT_EQ(k, step_of_numbers);
    }
  }
}

TYPED_TEST(Numbers, are_the_unpacked_weights_in_vectors_of_any_width) {
  unsigned seed = 0;
  for (const std::int64_t columns : {32, 160, 256}) {
    expect_unpacked_weights<TypeParam, quant_key::none>({.columns = columns}, ++seed);
    for (const bool extremes : {false, true}) {
      const MatrixOptions options{.columns = columns, .extremes = extremes};
      expect_unpacked_weights<TypeParam, quant_key::mxfp8_static>(options, ++seed);
      expect_unpacked_weights<TypeParam, quant_key::mxfp4_static>(options, ++seed);
      expect_unpacked_weights<TypeParam, quant_key::nvfp4_static>(options, ++seed);
    }
    // Zeros and subnormal numbers, and numbers of any size.
    for (const float deviation : {0.004F, 100.0F}) {
      const MatrixOptions options{.columns = columns, .deviation = deviation};
      expect_unpacked_weights<TypeParam, quant_key::fp8_static_channel>(options, ++seed);
      expect_unpacked_weights<TypeParam, quant_key::fp8_static_block128>(options, ++seed);
    }
    expect_unpacked_weights<TypeParam, quant_key::int8_static_channel>({.columns = columns}, ++seed);
    for (const std::int32_t group_size : {32, quant::whole_row}) {
      for (const bool zero_points : {false, true}) {
        for (const DType scale : {DType::f32, DType::bf16, DType::f16}) {
          const MatrixOptions options{
              .columns = columns, .group_size = group_size, .scale = scale, .zero_points = zero_points};
          expect_unpacked_weights<TypeParam, quant_key::int4_static_group>(options, ++seed);
          expect_unpacked_weights<TypeParam, quant_key::int8_static_group>(options, ++seed);
        }
      }
    }
  }
}

}  // namespace
}  // namespace polymoe::layout
