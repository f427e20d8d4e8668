// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

#include "polymoe/config/error.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/int4.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/quantize/group.hpp"

namespace polymoe::quant {

/// What weights are to become.
struct WeightFormat {
  QuantKey key{};
  std::int32_t group_size = 128;   ///< wna16: 32, 64, 128 or whole_row
  bool zero_points = false;        ///< wna16
  DType scale_dtype = DType::f32;  ///< wna16: bf16, f16 or f32
  PackFormat pack_format = PackFormat::compressed_tensors;
  ScaleSearch search = ScaleSearch::none;
};

/// What a named scheme's weights are to become. Scales of integers in groups are bf16, as most checkpoints have them.
constexpr WeightFormat weight_format(const NamedScheme& scheme, ScaleSearch search = ScaleSearch::mean_square_error) {
  return {.key = scheme.weight, .group_size = scheme.group_size, .scale_dtype = DType::bf16, .search = search};
}

/// One of the two products of all experts, quantized: tensors of its own. Experts are quantized one by one, in any
/// order.
class QuantizedProjection {
 public:
  QuantizedProjection() = default;

  /// Memory for [experts, rows, columns]. `two_parts`: rows of w1 and w3, which get scales of their own where the key
  /// has one for a whole matrix. Raises polymoe::Error where the key cannot hold such a matrix.
  QuantizedProjection(const WeightFormat& format, std::int64_t experts, std::int64_t rows, std::int64_t columns,
                      bool two_parts)
      : format_(format), experts_(experts), rows_(rows), columns_(columns), two_parts_(two_parts) {
    check_sizes();
    const bool rows_last = format.pack_format != PackFormat::compressed_tensors;
    const QuantKey& key = format.key;
    const std::int64_t packed = detail::weights_in_element(key);
    weight_ = format.pack_format == PackFormat::awq    ? Tensor(DType::i32, {experts, columns, rows / packed})
              : format.pack_format == PackFormat::gptq ? Tensor(DType::i32, {experts, columns / packed, rows})
                                                       : Tensor(weight_dtype(), {experts, rows, columns / packed});
    if (is_wna16(key)) {
      const std::int64_t groups = columns / run();
      const auto grouped = [&](DType dtype) {
        return rows_last ? Tensor(dtype, {experts, groups, rows}) : Tensor(dtype, {experts, rows, groups});
      };
      scale_ = grouped(format.scale_dtype);
      if (format.zero_points) zero_point_ = grouped(DType::u8);
      return;
    }
    if (is_per_tensor(key)) {
      scale_ = per_expert();
    } else if (is_per_row(key)) {
      scale_ = Tensor(DType::f32, {experts, rows});
    } else {
      const std::int64_t row_blocks = (rows + key.group.rows - 1) / key.group.rows;
      const DType dtype = key.scale == QuantScale::e8m0      ? DType::u8
                          : key.scale == QuantScale::f8_e4m3 ? DType::f8_e4m3
                                                             : DType::f32;
      scale_ = Tensor(dtype, {experts, row_blocks, groups()});
      if (key.has_global_scale) scale_2_ = per_expert();
    }
  }

  /// Quantizes one expert's weights [rows, columns] (bf16, f16 or f32). Raises polymoe::Error for weights that are not
  /// finite.
  template <Executor E>
  void quantize_expert(std::int64_t expert, const TensorView& weights, W13Layout row_order, E& executor) {
    if (weights.rank != 2 || weights.shape[0] != rows_ || weights.shape[1] != columns_ ||
        !is_floating_point(weights.dtype)) {
      raise_mismatch("weights", describe(weights), "BF16, F16 or F32 " + detail::describe({rows_, columns_}));
    }
    std::array<float, 2> part_maximum{};
    find_maxima(weights, row_order, executor, part_maximum);
    const Slice slice = slice_of(expert);
    const std::array<float, 2> part_scale = store_part_scales(slice, part_maximum);
    const std::int64_t rows_in_task = std::max<std::int64_t>(format_.key.group.rows, 8);  // awq's words hold 8 rows
    executor.parallel_for((rows_ + rows_in_task - 1) / rows_in_task, [&](std::int64_t task, int) {
      const std::int64_t begin = task * rows_in_task;
      quantize_rows(slice, weights, begin, std::min(rows_, begin + rows_in_task), row_order, part_scale);
    });
  }

  /// Views of what has been made; this object owns the memory.
  ProjectionTensors tensors() const {
    return {.weight = weight_.view(),
            .weight_scale = scale_.view(),
            .weight_scale_2 = scale_2_.view(),
            .zero_point = zero_point_.view()};
  }

 private:
  class Tensor {
   public:
    Tensor() = default;
    Tensor(DType dtype, std::initializer_list<std::int64_t> shape) {
      view_.dtype = dtype;
      for (const std::int64_t size : shape) view_.shape[static_cast<std::size_t>(view_.rank++)] = size;
      memory_.resize(view_.bytes());
    }
    TensorView view() const {
      TensorView view = view_;
      view.data = memory_.empty() ? nullptr : memory_.data();
      return view;
    }
    std::byte* of_expert(std::int64_t expert) {
      if (memory_.empty()) return nullptr;
      return memory_.data() + static_cast<std::int64_t>(memory_.size()) / view_.shape[0] * expert;
    }

   private:
    TensorView view_;
    std::vector<std::byte> memory_;
  };

  /// One expert's part of every tensor.
  struct Slice {
    std::byte* weight;
    std::byte* scale;
    std::byte* scale_2;
    std::byte* zero_point;
  };

  // ---- sizes

  void check_sizes() const {
    const QuantKey& key = format_.key;
    if (key.is_none() || !family_of(key)) raise_mismatch("weight key", std::string(name(key)), "one to quantize to");
    const auto require = [&](bool holds, const std::string& what) {
      if (!holds) {
        raise_mismatch("weights", detail::describe({experts_, rows_, columns_}),
                       what + " for the weight key " + std::string(name(key)));
      }
    };
    const bool grouped = is_wna16(key) ? format_.group_size > 0 : key.group.rows == 1 && key.group.columns > 1;
    const std::int64_t factor =
        std::max(detail::weights_in_element(key),
                 !grouped ? std::int64_t{1} : std::int64_t{is_wna16(key) ? format_.group_size : key.group.columns});
    require(columns_ % factor == 0, "columns that are a multiple of " + std::to_string(factor));
    require(format_.pack_format != PackFormat::awq || (key.element == QuantElement::uint4b8 && rows_ % 8 == 0),
            "int4 with rows that are a multiple of 8 (awq)");
    require(format_.pack_format == PackFormat::compressed_tensors || is_wna16(key), "no pack format");
    require(!is_wna16(key) || is_floating_point(format_.scale_dtype), "scales in BF16, F16 or F32");
  }

  /// Columns of a run with one scale.
  std::int64_t run() const {
    if (is_wna16(format_.key)) return format_.group_size > 0 ? format_.group_size : columns_;
    return format_.key.group.columns > 1 ? format_.key.group.columns : columns_;
  }
  std::int64_t groups() const { return (columns_ + run() - 1) / run(); }

  DType weight_dtype() const {
    switch (format_.key.element) {
      case QuantElement::f8_e4m3: return DType::f8_e4m3;
      case QuantElement::i8: return DType::i8;
      case QuantElement::e2m1: return DType::u8;
      default: return DType::i32;
    }
  }

  Tensor per_expert() const { return two_parts_ ? Tensor(DType::f32, {experts_, 2}) : Tensor(DType::f32, {experts_}); }

  Slice slice_of(std::int64_t expert) {
    return {weight_.of_expert(expert), scale_.of_expert(expert), scale_2_.of_expert(expert),
            zero_point_.of_expert(expert)};
  }

  std::size_t part_of(std::int64_t row, W13Layout row_order) const {
    if (!two_parts_) return 0;
    const bool up = row_order == W13Layout::interleaved ? row % 2 != 0 : row >= rows_ / 2;
    return up ? 1 : 0;
  }

  // ---- passes

  /// Greatest magnitudes of w1 and w3 (or of all rows).
  template <Executor E>
  void find_maxima(const TensorView& weights, W13Layout row_order, E& executor, std::array<float, 2>& maximum) const {
    std::vector<float> of_row(static_cast<std::size_t>(rows_));
    executor.parallel_for(rows_, [&](std::int64_t row, int) {
      float greatest = 0.0F;
      for (std::int64_t k = 0; k < columns_; ++k) {
        const float value = load_as_float(weights.data, weights.dtype, row * columns_ + k);
        const float magnitude = std::fabs(value);
        greatest = magnitude <= greatest ? greatest : magnitude;  // a NaN stays
        if (std::isnan(greatest)) break;
      }
      of_row[static_cast<std::size_t>(row)] = greatest;
    });
    for (std::int64_t row = 0; row < rows_; ++row) {
      const float greatest = of_row[static_cast<std::size_t>(row)];
      if (!std::isfinite(greatest)) {
        raise_mismatch("weights", std::to_string(greatest) + " in row " + std::to_string(row), "finite numbers");
      }
      float& so_far = maximum[part_of(row, row_order)];
      so_far = std::max(so_far, greatest);
    }
  }

  /// Scales of the whole matrix, or of w1 and w3: of the weights (fp8), or of the block scales (nvfp4).
  std::array<float, 2> store_part_scales(const Slice& slice, const std::array<float, 2>& maximum) const {
    std::array<float, 2> scales{};
    const QuantKey& key = format_.key;
    if (!is_per_tensor(key) && !key.has_global_scale) return scales;
    std::byte* const into = key.has_global_scale ? slice.scale_2 : slice.scale;
    for (std::size_t part = 0; part < (two_parts_ ? 2U : 1U); ++part) {
      scales[part] = key.has_global_scale ? maximum[part] / (e4m3_max * e2m1_max) : fp8_scale(maximum[part]);
      store_element(into, static_cast<std::int64_t>(part), scales[part]);
    }
    return scales;
  }

  void quantize_rows(const Slice& slice, const TensorView& weights, std::int64_t begin, std::int64_t end,
                     W13Layout row_order, const std::array<float, 2>& part_scale) const {
    const std::int64_t count = (end - begin) * columns_;
    std::vector<float> values(static_cast<std::size_t>(count));
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      values[static_cast<std::size_t>(i)] = load_as_float(weights.data, weights.dtype, begin * columns_ + i);
    }
    if (format_.key.group.rows > 1) {
      quantize_block_rows(slice, values.data(), begin, end, codes.data());
    } else {
      for (std::int64_t row = begin; row < end; ++row) {
        quantize_row(slice, values.data() + (row - begin) * columns_, row, part_scale[part_of(row, row_order)],
                     codes.data() + (row - begin) * columns_);
      }
    }
    for (std::int64_t row = begin; row < end; ++row) {
      store_codes(slice.weight, row, codes.data() + (row - begin) * columns_);
    }
  }

  /// A row of blocks: at most key.group.rows rows.
  void quantize_block_rows(const Slice& slice, const float* values, std::int64_t begin, std::int64_t end,
                           std::uint8_t* codes) const {
    const std::int64_t block_row = begin / format_.key.group.rows;
    for (std::int64_t group = 0; group < groups(); ++group) {
      const std::int64_t first = group * run();
      const std::int64_t n = std::min(run(), columns_ - first);
      float amax = 0.0F;
      for (std::int64_t r = 0; r < end - begin; ++r) {
        amax = std::max(amax, absolute_maximum(values + r * columns_ + first, n));
      }
      const float scale = fp8_scale(amax);
      store_element(slice.scale, block_row * groups() + group, scale);
      for (std::int64_t r = 0; r < end - begin; ++r) {
        quantize_fp8_row(values + r * columns_ + first, n, scale, codes + r * columns_ + first);
      }
    }
  }

  void quantize_row(const Slice& slice, const float* x, std::int64_t row, float part_scale, std::uint8_t* codes) const {
    const QuantKey& key = format_.key;
    if (is_per_tensor(key)) return quantize_fp8_row(x, columns_, part_scale, codes);
    for (std::int64_t group = 0; group < groups(); ++group) {
      const std::int64_t first = group * run();
      quantize_run(slice, x + first, row, group, part_scale, codes + first);
    }
  }

  /// One run of columns with a scale of its own.
  void quantize_run(const Slice& slice, const float* x, std::int64_t row, std::int64_t group, float part_scale,
                    std::uint8_t* codes) const {
    const std::int64_t n = run();
    const bool rows_last = format_.pack_format != PackFormat::compressed_tensors;
    const std::int64_t at = rows_last ? group * rows_ + row : row * groups() + group;
    switch (format_.key.element) {
      case QuantElement::f8_e4m3:
        if (format_.key.scale == QuantScale::e8m0) {
          std::uint8_t scale = 0;
          quantize_mxfp8_dynamic(x, n, codes, &scale);
          return store_element(slice.scale, at, scale);
        }
        return store_element(slice.scale, at, quantize_fp8_dynamic_token(x, n, codes));
      case QuantElement::e2m1:
        return store_element(slice.scale, at,
                             format_.key.has_global_scale
                                 ? quantize_nvfp4_group(x, n, part_scale, format_.search, codes)
                                 : quantize_mxfp4_group(x, n, format_.search, codes));
      case QuantElement::i8: {
        const float scale = int8_scale(absolute_maximum(x, n));
        for (std::int64_t i = 0; i < n; ++i) codes[i] = static_cast<std::uint8_t>(quantize_int8(x[i], scale));
        return store_element(slice.scale, at, scale);
      }
      case QuantElement::uint4b8:
      case QuantElement::uint8b128: {
        const int bits = format_.key.element == QuantElement::uint4b8 ? 4 : 8;
        const IntegerScale scale =
            quantize_integer_group(x, n, bits, format_.zero_points, format_.scale_dtype, format_.search, codes);
        store_from_float(slice.scale, format_.scale_dtype, at, scale.scale);
        if (format_.zero_points) store_element(slice.zero_point, at, scale.zero);
        return;
      }
      case QuantElement::none: return;
    }
  }

  // ---- packing

  /// Writes a row's codes as WeightMatrix::codes reads them. Rows of one awq word are written by one task.
  void store_codes(std::byte* weight, std::int64_t row, const std::uint8_t* codes) const {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(weight);
    const int bits = format_.key.element == QuantElement::uint4b8 || format_.key.element == QuantElement::e2m1 ? 4 : 8;
    if (format_.pack_format == PackFormat::compressed_tensors) {
      if (bits == 8) {
        std::memcpy(bytes + row * columns_, codes, static_cast<std::size_t>(columns_));
        return;
      }
      std::uint8_t* const out = bytes + row * (columns_ / 2);
      for (std::int64_t k = 0; k < columns_; k += 2) {
        out[k / 2] = static_cast<std::uint8_t>(codes[k] | (codes[k + 1] << 4));
      }
      return;
    }
    for (std::int64_t k = 0; k < columns_; ++k) {
      if (format_.pack_format == PackFormat::gptq) {
        const std::int64_t in_word = 32 / bits;
        set_code(bytes + (k / in_word * rows_ + row) * 4, bits, static_cast<std::size_t>(k % in_word), codes[k]);
      } else {
        set_code(bytes + (k * (rows_ / 8) + row / 8) * 4, bits,
                 detail::awq_nibble_of_column[static_cast<std::size_t>(row % 8)], codes[k]);
      }
    }
  }

  static void set_code(std::uint8_t* word, int bits, std::size_t place, std::uint8_t code) {
    if (bits == 8) {
      word[place] = code;
    } else {
      set_nibble(word, place, code);
    }
  }

  WeightFormat format_;
  std::int64_t experts_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t columns_ = 0;
  bool two_parts_ = false;
  Tensor weight_;
  Tensor scale_;
  Tensor scale_2_;
  Tensor zero_point_;
};

/// A quantized layer that owns its tensors, except for the biases, which stay where they were.
class QuantizedCheckpoint {
 public:
  QuantizedCheckpoint() = default;

  QuantizedCheckpoint(const WeightFormat& format, const LayerShape& shape, W13Layout w13_layout)
      : w13_(format, shape.num_local_experts, shape.w13_rows(), shape.hidden_size, shape.gated),
        w2_(format, shape.num_local_experts, shape.hidden_size, shape.intermediate_size, false),
        layout_(w13_layout),
        pack_format_(format.pack_format) {}

  /// Quantizes one expert: w13 [2I or I, H] in the layout that the constructor was told, w2 [H, I].
  template <Executor E>
  void quantize_expert(std::int64_t expert, const TensorView& w13, const TensorView& w2, E& executor) {
    w13_.quantize_expert(expert, w13, layout_, executor);
    w2_.quantize_expert(expert, w2, layout_, executor);
  }

  /// Static activation scales, which no weight knows: fp8_static_tensor's s or nvfp4_dynamic's S.
  void set_input_scales(float w13, float w2) { input_scales_ = {w13, w2}; }

  void set_biases(const TensorView& w13, const TensorView& w2) { biases_ = {w13, w2}; }

  /// The checkpoint; it views memory of this object, which must outlive it and may be moved.
  MoECheckpoint view() const {
    MoECheckpoint checkpoint;
    checkpoint.w13 = w13_.tensors();
    checkpoint.w2 = w2_.tensors();
    checkpoint.w13.bias = biases_[0];
    checkpoint.w2.bias = biases_[1];
    if (!input_scales_.empty()) {
      checkpoint.w13.input_scale = scalar(input_scales_[0]);
      checkpoint.w2.input_scale = scalar(input_scales_[1]);
    }
    checkpoint.w13_layout = layout_;
    checkpoint.pack_format = pack_format_;
    return checkpoint;
  }

 private:
  static TensorView scalar(const float& value) {
    return {.data = reinterpret_cast<const std::byte*>(&value), .dtype = DType::f32, .shape = {1}, .rank = 1};
  }

  QuantizedProjection w13_;
  QuantizedProjection w2_;
  W13Layout layout_ = W13Layout::concatenated;
  PackFormat pack_format_ = PackFormat::compressed_tensors;
  std::array<TensorView, 2> biases_{};
  std::vector<float> input_scales_;
};

namespace detail {

struct NoProgress {
  void operator()(std::int64_t, std::int64_t) const noexcept {}
};

}  // namespace detail

/// Quantizes all experts of an unquantized checkpoint (bf16, f16 or f32). `progress(done, of)` is called after each
/// expert. Raises polymoe::Error where the checkpoint is not one, the key cannot hold its sizes, or a weight is not
/// finite.
template <Executor E, class Progress = detail::NoProgress>
QuantizedCheckpoint quantize_weights(const MoECheckpoint& source, const WeightFormat& format, E& executor,
                                     Progress&& progress = {}) {
  static_cast<void>(make_quant_config<Unquantized>(source, Activation::runtime));
  const LayerShape shape = checkpoint_shape<Unquantized>(source);
  QuantizedCheckpoint result(format, shape, source.w13_layout);
  for (std::int64_t expert = 0; expert < shape.num_local_experts; ++expert) {
    result.quantize_expert(expert, expert_slice(source.w13.weight, expert), expert_slice(source.w2.weight, expert),
                           executor);
    progress(expert + 1, shape.num_local_experts);
  }
  result.set_biases(source.w13.bias, source.w2.bias);
  return result;
}

}  // namespace polymoe::quant
