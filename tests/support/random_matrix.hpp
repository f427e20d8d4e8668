// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/layout/storage.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "tests/support/random_checkpoint.hpp"

namespace polymoe::test {

/// What a random quantized matrix is like.
struct MatrixOptions {
  QuantKey key{};
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int32_t group_size = 0;  ///< wna16
  DType scale = DType::f32;     ///< wna16
  bool zero_points = false;
  bool group_index = false;
  PackFormat pack_format = PackFormat::compressed_tensors;
  bool extremes = false;   ///< every code of scales
  bool nan_codes = false;  ///< every code of fp8
  float deviation = 0.0F;  ///< of fp8 numbers that are normally distributed, as in checkpoints; 0: all codes alike

  std::string describe() const {
    return std::string(name(key)) + " " + std::to_string(rows) + " x " + std::to_string(columns) + " group " +
           std::to_string(group_size) + (zero_points ? " zeros" : "") + (group_index ? " g_idx " : " ") +
           std::string(name(pack_format)) + (extremes ? " extremes" : "") + (nan_codes ? " NaN codes" : "") +
           (deviation > 0.0F ? " deviation " + std::to_string(deviation) : "");
  }
};

/// One expert's matrix whose codes are random, with everything that it is a view of.
class RandomMatrix {
 public:
  explicit RandomMatrix(const MatrixOptions& options, unsigned seed = 1) : random_(seed) {
    const QuantKey key = options.key;
    const std::int64_t rows = options.rows;
    const std::int64_t columns = options.columns;
    const std::int32_t group_size = options.group_size;
    ProjectionTensors& tensors = checkpoint_.w13;
    checkpoint_.pack_format = options.pack_format;
    storage_.scale = DType::f32;
    const bool rows_last = quant::is_wna16(key) && options.pack_format != PackFormat::compressed_tensors;
    const int bits = key.element == QuantElement::e2m1 || key.element == QuantElement::uint4b8 ? 4 : 8;
    if (quant::is_wna16(key)) {
      const std::int64_t words = columns * bits / 32;
      tensors.weight = options.pack_format == PackFormat::awq ? bytes(DType::i32, {1, columns, rows / 8})
                       : rows_last                            ? bytes(DType::i32, {1, words, rows})
                                                              : bytes(DType::i32, {1, rows, words});
      const std::int64_t groups = group_size == quant::whole_row ? 1 : columns / group_size;
      const auto shape = [&](DType type) {
        return rows_last ? store_.zeros(type, {1, groups, rows}) : store_.zeros(type, {1, rows, groups});
      };
      tensors.weight_scale = shape(options.scale);
      for (std::int64_t i = 0; i < rows * groups; ++i) set(tensors.weight_scale, i, normal() * 0.02F);
      if (options.zero_points) {
        tensors.zero_point = shape(DType::u8);
        for (std::int64_t i = 0; i < rows * groups; ++i) {
          memory(tensors.zero_point)[i] = static_cast<std::byte>(random_() % (1U << bits));
        }
      }
      if (options.group_index) {
        tensors.g_idx = store_.filled<std::int32_t>(DType::i32, {1, columns}, [&](std::int64_t) {
          return static_cast<std::int32_t>(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(groups)));
        });
      }
      storage_.scale = options.scale;
      storage_.zero_points = options.zero_points;
      storage_.group_index = options.group_index;
      storage_.group_size = group_size;
    } else {
      tensors.weight = bytes(DType::u8, {1, rows, columns * bits / 8});
      if (key.element == QuantElement::f8_e4m3 && options.deviation > 0.0F) {
        std::normal_distribution<float> distribution(0.0F, options.deviation);
        for (std::int64_t i = 0; i < rows * columns; ++i) {
          memory(tensors.weight)[i] = static_cast<std::byte>(e4m3_encode(distribution(random_)));
        }
      } else if (key.element == QuantElement::f8_e4m3 && !options.nan_codes) {
        for (std::int64_t i = 0; i < rows * columns; ++i) {
          std::byte& code = memory(tensors.weight)[i];
          if ((code & std::byte{0x7F}) == std::byte{0x7F}) code = std::byte{0x38};
        }
      }
      const auto count = [](std::int64_t size, std::int32_t of) { return of < 0 ? 1 : (size + of - 1) / of; };
      if (key.scale == QuantScale::f32) {
        const std::int64_t scale_rows = quant::is_per_row(key)      ? rows
                                        : quant::is_per_tensor(key) ? 1
                                                                    : count(rows, key.group.rows);
        const std::int64_t groups =
            quant::is_per_row(key) || quant::is_per_tensor(key) ? 1 : count(columns, key.group.columns);
        tensors.weight_scale = store_.zeros(DType::f32, {1, scale_rows, groups});
        for (std::int64_t i = 0; i < scale_rows * groups; ++i) set(tensors.weight_scale, i, normal() * 0.1F);
      } else {
        const std::int64_t groups = count(columns, key.group.columns);
        tensors.weight_scale = bytes(key.scale == QuantScale::e8m0 ? DType::e8m0 : DType::f8_e4m3, {1, rows, groups});
        if (!options.extremes) {
          for (std::int64_t i = 0; i < rows * groups; ++i) {
            std::byte& code = memory(tensors.weight_scale)[i];
            code = static_cast<std::byte>(key.scale == QuantScale::e8m0 ? 118 + random_() % 8 : 1 + random_() % 0x7E);
          }
        }
        if (key.has_global_scale) {
          tensors.weight_scale_2 = store_.filled<float>(DType::f32, {1, 1}, [](std::int64_t) { return 0.0123F; });
        }
      }
    }
    matrix_ = quant::weight_matrix(checkpoint_, tensors, key, 0, rows, columns);
  }

  const quant::WeightMatrix& matrix() const { return matrix_; }
  const Storage& storage() const { return storage_; }
  std::mt19937& random() { return random_; }

 private:
  TensorView bytes(DType type, std::initializer_list<std::int64_t> shape) {
    const TensorView view = store_.zeros(type, shape);
    for (std::size_t i = 0; i < view.bytes(); ++i) memory(view)[i] = static_cast<std::byte>(random_() & 0xFFU);
    return view;
  }
  static std::byte* memory(const TensorView& view) { return const_cast<std::byte*>(view.data); }
  static void set(const TensorView& view, std::int64_t index, float value) {
    store_from_float(memory(view), view.dtype, index, value);
  }
  float normal() { return std::abs(std::normal_distribution<float>(0.0F, 1.0F)(random_)) + 0.01F; }

  std::mt19937 random_;
  TensorStore store_;
  MoECheckpoint checkpoint_;
  quant::WeightMatrix matrix_;
  Storage storage_;
};

}  // namespace polymoe::test
