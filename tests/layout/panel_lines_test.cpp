// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/panel_lines.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "polymoe/layout/panel_groups.hpp"
#include "tests/support/random_matrix.hpp"

namespace polymoe::layout {
namespace {

using test::MatrixOptions;
using test::RandomMatrix;

/// Any rows of a matrix, some of them missing.
PanelRows random_rows(RandomMatrix& random) {
  PanelRows rows{};
  for (std::int64_t& row : rows) {
    row = static_cast<std::int64_t>(random.random()() % static_cast<std::uint64_t>(random.matrix().rows + 1)) - 1;
  }
  return rows;
}

/// What make_quant_config takes in every format of files.
std::vector<MatrixOptions> all_formats() {
  std::vector<MatrixOptions> all;
  for (const QuantKey key : {quant_key::fp8_static_channel, quant_key::mxfp4_static}) {
    for (const std::int64_t columns : {2, 62, 64, 130, 300})
      all.push_back({.key = key, .rows = 70, .columns = columns});
  }
  for (const PackFormat format : {PackFormat::compressed_tensors, PackFormat::gptq, PackFormat::awq}) {
    for (const QuantKey key : {quant_key::int4_static_group, quant_key::int8_static_group}) {
      if (format == PackFormat::awq && key == quant_key::int8_static_group) continue;
      for (const DType scale : {DType::f32, DType::f16}) {
        for (const std::int64_t columns : {32, 160, 1120}) {
          all.push_back({.key = key,
                         .rows = 72,
                         .columns = columns,
                         .group_size = 32,
                         .scale = scale,
                         .zero_points = true,
                         .pack_format = format});
        }
      }
    }
  }
  return all;
}

TEST(PanelLines, hold_the_codes_of_rows_and_something_else_where_there_are_none) {
  constexpr std::uint8_t none = 0x55;
  unsigned seed = 1;
  for (const MatrixOptions& options : all_formats()) {
    SCOPED_TRACE(options.describe());
    RandomMatrix random(options, ++seed);
    const quant::WeightMatrix& matrix = random.matrix();
    const PanelRows rows = random_rows(random);
    const bool nibbles = matrix.stored_codes().row_bytes < matrix.columns;
    const std::int64_t of_line = nibbles ? 2 * line_bytes : line_bytes;
    for (std::int64_t first = 0; first < matrix.columns + of_line; first += of_line) {
      PanelLines lines;
      read_codes(lines, matrix, rows, first, std::byte{none});
      for (std::size_t column = 0; column < rows.size(); ++column) {
        for (std::int64_t i = 0; i < of_line; ++i) {
          const auto byte = std::to_integer<unsigned>(lines.of_column[column][nibbles ? i / 2 : i]);
          std::uint8_t expected = nibbles ? none & 15U : none;
          if (rows[column] >= 0 && first + i < matrix.columns) matrix.codes(rows[column], first + i, 1, &expected);
          ASSERT_EQ(nibbles ? byte >> (i % 2 * 4) & 15U : byte, expected) << "column " << column << " k " << first + i;
        }
      }
    }
  }
}

TEST(PanelGroups, are_scales_and_zero_points_of_columns) {
  unsigned seed = 1;
  for (const MatrixOptions& options : all_formats()) {
    if (options.group_size == 0) continue;
    SCOPED_TRACE(options.describe());
    RandomMatrix random(options, ++seed);
    const quant::WeightMatrix& matrix = random.matrix();
    const PanelRows rows = random_rows(random);
    PanelGroups scales(matrix.stored_scales(), rows);
    PanelGroups zeros(matrix.stored_zero_points(), rows);
    // To and fro: groups of another line, and of one that was there before.
    for (std::int64_t i = 0; i < 2 * matrix.groups(); ++i) {
      const std::int64_t group = i < matrix.groups() ? i : 2 * matrix.groups() - 1 - i;
      for (std::size_t column = 0; column < rows.size(); ++column) {
        const std::int64_t row = rows[column];
        const auto index = static_cast<std::int64_t>(column);
        ASSERT_EQ(load_as_float(scales.of(group), options.scale, index), row < 0 ? 0.0F : matrix.scale(row, group));
        ASSERT_EQ(std::to_integer<std::int32_t>(zeros.of(group)[column]), row < 0 ? 0 : matrix.zero(row, group));
      }
    }
  }
}

TEST(PanelGroups, share_the_rows_of_blocks) {
  RandomMatrix random({.key = quant_key::fp8_static_block128, .rows = 300, .columns = 4000});
  const quant::WeightMatrix& matrix = random.matrix();
  const PanelRows rows = random_rows(random);
  PanelGroups scales(matrix.stored_scales(), rows, matrix.rows_per_scale);
  for (std::int64_t group = 0; group < matrix.groups(); ++group) {
    for (std::size_t column = 0; column < rows.size(); ++column) {
      const float expected = rows[column] < 0 ? 0.0F : matrix.scale(rows[column], group);
      ASSERT_EQ(load_as_float(scales.of(group), DType::f32, static_cast<std::int64_t>(column)), expected);
    }
  }
}

}  // namespace
}  // namespace polymoe::layout
