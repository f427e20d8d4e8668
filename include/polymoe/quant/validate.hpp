// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "polymoe/config/error.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/quant_config.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::quant {

/// "F32 [8, 6, 2]".
inline std::string describe(const TensorView& tensor) {
  if (!tensor.present()) return "no such tensor";
  std::string text = std::string(polymoe::name(tensor.dtype)) + " [";
  for (int i = 0; i < tensor.rank; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[static_cast<std::size_t>(i)]);
  }
  return text + "]";
}

namespace detail {

using Shape = std::vector<std::int64_t>;

/// "[8, 6, 2]".
inline std::string describe(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(size);
  return text + "]";
}

inline Shape shape_of(const TensorView& tensor) {
  return {tensor.shape.begin(), tensor.shape.begin() + tensor.rank};
}

/// Weights in one stored element.
constexpr std::int64_t weights_in_element(const QuantKey& key) {
  switch (key.element) {
    case QuantElement::e2m1: return 2;
    case QuantElement::uint4b8: return 8;
    case QuantElement::uint8b128: return 4;
    default: return 1;
  }
}

/// Checks a checkpoint's tensors against a scheme. Every member raises polymoe::Error "TENSOR: found ..., expected ..."
/// at the first thing that is not as layer_file.md says.
class CheckpointValidator {
 public:
  CheckpointValidator(const SchemeInfo& scheme, const MoECheckpoint& checkpoint)
      : scheme_(scheme), key_(scheme.keys.weight), checkpoint_(checkpoint), format_(checkpoint.pack_format) {}

  /// The sizes, from the shapes of both weights; the rest of the layer's shape is not in a checkpoint.
  LayerShape shape() const {
    check_format();
    const TensorView& w13 = checkpoint_.w13.weight;
    const TensorView& w2 = checkpoint_.w2.weight;
    require_weight("w13_weight", w13);
    require_weight("w2_weight", w2);
    LayerShape shape;
    shape.num_local_experts = w13.shape[0];
    shape.hidden_size = rows_of(w2);
    shape.intermediate_size = columns_of(w2);
    shape.gated = rows_of(w13) != shape.intermediate_size;
    const Shape expected = weight_shape(shape.num_local_experts, shape.w13_rows(), shape.hidden_size);
    if (shape_of(w13) != expected || w2.shape[0] != w13.shape[0]) {
      raise_mismatch("w13_weight", describe(w13),
                     describe(weight_shape(w2.shape[0], 2 * shape.intermediate_size, shape.hidden_size)) +
                         " (or w1 alone) to go with w2_weight " + describe(w2));
    }
    return shape;
  }

  QuantConfig config(Activation activation, const ActivationParameters& parameters) const {
    const LayerShape sizes = shape();
    if (activation != Activation::runtime && is_gated(activation) != sizes.gated) {
      raise_mismatch("w13_weight", describe(checkpoint_.w13.weight),
                     std::string(is_gated(activation) ? "2 * I" : "I") + " rows for the activation " +
                         std::string(polymoe::name(activation)));
    }
    check_sizes(sizes);
    check("w13", checkpoint_.w13, sizes.num_local_experts, sizes.w13_rows(), sizes.hidden_size, sizes.gated);
    check("w2", checkpoint_.w2, sizes.num_local_experts, sizes.hidden_size, sizes.intermediate_size, false);
    static_cast<void>(group_size());
    QuantConfig config;
    config.activation = activation;
    config.activation_parameters = parameters;
    config.w13_input_scale = input_scale("w13_input_scale", checkpoint_.w13.input_scale, sizes.num_local_experts);
    config.w2_input_scale = input_scale("w2_input_scale", checkpoint_.w2.input_scale, sizes.num_local_experts);
    return config;
  }

  /// wna16: 32, 64, 128, or whole_row, the same for both products; 0 for other keys.
  std::int32_t group_size() const {
    if (!is_wna16(key_)) return 0;
    if (scheme_.group_size != checkpoint_group) return scheme_.group_size;
    const LayerShape sizes = shape();
    const std::int64_t w13_groups = groups_of(checkpoint_.w13.weight_scale);
    const std::int64_t w2_groups = groups_of(checkpoint_.w2.weight_scale);
    if (w13_groups == 1 && w2_groups == 1) return whole_row;
    const std::int64_t w13_group = (sizes.hidden_size + w13_groups - 1) / w13_groups;
    const std::int64_t w2_group = (sizes.intermediate_size + w2_groups - 1) / w2_groups;
    if (w13_group != w2_group || (w13_group != 32 && w13_group != 64 && w13_group != 128)) {
      raise_mismatch("w13_weight_scale", describe(checkpoint_.w13.weight_scale),
                     "groups of 32, 64 or 128 columns or one a row, as in w2_weight_scale " +
                         describe(checkpoint_.w2.weight_scale));
    }
    return static_cast<std::int32_t>(w13_group);
  }

 private:
  // ---- weights

  bool rows_last() const { return format_ != PackFormat::compressed_tensors; }

  Shape weight_shape(std::int64_t experts, std::int64_t rows, std::int64_t columns) const {
    const std::int64_t packed = weights_in_element(key_);
    if (format_ == PackFormat::gptq) return {experts, columns / packed, rows};
    if (format_ == PackFormat::awq) return {experts, columns, rows / packed};
    return {experts, rows, columns / packed};
  }

  std::int64_t rows_of(const TensorView& weight) const {
    if (format_ == PackFormat::gptq) return weight.shape[2];
    return format_ == PackFormat::awq ? weight.shape[2] * weights_in_element(key_) : weight.shape[1];
  }

  std::int64_t columns_of(const TensorView& weight) const {
    if (format_ == PackFormat::awq) return weight.shape[1];
    return weights_in_element(key_) * (format_ == PackFormat::gptq ? weight.shape[1] : weight.shape[2]);
  }

  void check_format() const {
    const std::string found(polymoe::name(format_));
    if (!is_wna16(key_) && format_ != PackFormat::compressed_tensors) {
      raise_mismatch("pack_format", found, "compressed_tensors for the scheme " + std::string(scheme_.name));
    }
    if (format_ == PackFormat::awq && key_.element == QuantElement::uint8b128) {
      raise_mismatch("pack_format", found, "compressed_tensors or gptq for int8 weights (awq packs int4 only)");
    }
    if (checkpoint_.w13_layout == W13Layout::runtime) {
      raise_mismatch("w13_layout", "runtime", "concatenated or interleaved: a checkpoint knows its layout");
    }
  }

  bool stores_weight_as(DType dtype) const {
    switch (key_.element) {
      case QuantElement::none: return is_floating_point(dtype);
      case QuantElement::f8_e4m3: return dtype == DType::f8_e4m3;
      case QuantElement::e2m1: return dtype == DType::u8;
      case QuantElement::i8: return dtype == DType::i8;
      case QuantElement::uint4b8:
      case QuantElement::uint8b128: return dtype == DType::i32;
    }
    return false;
  }

  std::string weight_types() const {
    switch (key_.element) {
      case QuantElement::none: return "BF16, F16 or F32";
      case QuantElement::f8_e4m3: return "F8_E4M3";
      case QuantElement::e2m1: return "U8 (two codes a byte)";
      case QuantElement::i8: return "I8";
      case QuantElement::uint4b8: return "I32 (eight codes a word)";
      case QuantElement::uint8b128: return "I32 (four codes a word)";
    }
    return {};
  }

  void require_weight(const char* name, const TensorView& weight) const {
    constexpr std::int64_t largest = std::int64_t{1} << 31;
    bool fits = weight.present() && weight.rank == 3 && stores_weight_as(weight.dtype);
    for (int i = 0; fits && i < 3; ++i) {
      const std::int64_t size = weight.shape[static_cast<std::size_t>(i)];
      fits = size >= 1 && size <= largest;
    }
    if (!fits) raise_mismatch(name, describe(weight), weight_types() + " of three dimensions from 1 to 2^31");
  }

  void check_sizes(const LayerShape& sizes) const {
    require_multiple("w13_weight", "H", sizes.hidden_size);
    require_multiple("w2_weight", "I", sizes.intermediate_size);
  }

  void require_multiple(const char* name, const char* symbol, std::int64_t size) const {
    const std::int64_t factor = is_wna16(key_) ? std::max<std::int64_t>(scheme_.group_size, 1)
                                : key_.group.rows == 1 && key_.group.columns > 1 ? key_.group.columns
                                                                                 : 1;
    if (size % factor != 0) {
      raise_mismatch(name, std::string(symbol) + " = " + std::to_string(size),
                     "a multiple of " + std::to_string(factor) + " (columns that share a scale)");
    }
  }

  // ---- everything of one product

  void check(const std::string& name, const ProjectionTensors& tensors, std::int64_t experts, std::int64_t rows,
             std::int64_t columns, bool two_parts) const {
    require(name + "_weight", tensors.weight, stores_weight_as(tensors.weight.dtype), weight_types(),
            weight_shape(experts, rows, columns));
    if (tensors.bias.present()) {
      require(name + "_bias", tensors.bias, is_floating_point(tensors.bias.dtype), "BF16, F16 or F32", {experts, rows});
    }
    check_scales(name, tensors, experts, rows, columns, two_parts);
    if (key_ != quant_key::nvfp4_static) require_absent(name + "_weight_scale_2", tensors.weight_scale_2);
    if (!is_wna16(key_)) {
      require_absent(name + "_zero_point", tensors.zero_point);
      require_absent(name + "_g_idx", tensors.g_idx);
    }
    if (!may_carry_input_scale(key_)) require_absent(name + "_input_scale", tensors.input_scale);
  }

  void check_scales(const std::string& name, const ProjectionTensors& tensors, std::int64_t experts, std::int64_t rows,
                    std::int64_t columns, bool two_parts) const {
    const TensorView& scale = tensors.weight_scale;
    const std::string scale_name = name + "_weight_scale";
    const std::string matrix = std::to_string(rows) + " x " + std::to_string(columns) + " matrix)";
    if (key_.is_none()) return require_absent(scale_name, scale);
    if (is_wna16(key_)) return check_groups(name, tensors, experts, rows, columns);
    if (key_ == quant_key::nvfp4_static) {
      require_per_expert(scale_name + "_2", tensors.weight_scale_2, experts, two_parts);
    }
    if (is_per_tensor(key_)) return require_per_expert(scale_name, scale, experts, two_parts);
    const bool is_f32 = scale.dtype == DType::f32;
    if (is_per_row(key_)) {
      return require(scale_name, scale, is_f32, "F32", {experts, rows}, " (one scale per row of a " + matrix);
    }
    const auto blocks = [](std::int64_t size, std::int64_t block) { return (size + block - 1) / block; };
    const Shape shape{experts, blocks(rows, key_.group.rows), blocks(columns, key_.group.columns)};
    const std::string why = key_.group.rows > 1
                                ? " (one scale per " + std::to_string(key_.group.rows) + " x " +
                                      std::to_string(key_.group.columns) + " block of a " + matrix
                                : " (one scale per " + std::to_string(key_.group.columns) + " columns of a " + matrix;
    switch (key_.scale) {
      case QuantScale::e8m0:
        return require(scale_name, scale, scale.dtype == DType::u8 || scale.dtype == DType::e8m0, "U8", shape, why);
      case QuantScale::f8_e4m3: return require(scale_name, scale, scale.dtype == DType::f8_e4m3, "F8_E4M3", shape, why);
      default: return require(scale_name, scale, is_f32, "F32", shape, why);
    }
  }

  /// wna16: [E, N, G], or [E, G, N] of gptq and awq.
  void check_groups(const std::string& name, const ProjectionTensors& tensors, std::int64_t experts, std::int64_t rows,
                    std::int64_t columns) const {
    const TensorView& scale = tensors.weight_scale;
    const std::int64_t groups = number_of_groups(scale, columns);
    const Shape shape = rows_last() ? Shape{experts, groups, rows} : Shape{experts, rows, groups};
    const std::string why = " (" + std::to_string(groups) + " groups of a row of " + std::to_string(columns) + ")";
    require(name + "_weight_scale", scale, is_floating_point(scale.dtype), "F32, BF16 or F16", shape, why);
    if (!tensors.g_idx.present() && columns % groups != 0) {
      raise_mismatch(name + "_weight_scale", describe(scale),
                     "a number of groups that divides " + std::to_string(columns) + " columns");
    }
    check_zero_points(name + "_zero_point", tensors.zero_point, shape, why);
    if (tensors.g_idx.present()) check_group_index(name + "_g_idx", tensors.g_idx, experts, columns, groups);
  }

  std::int64_t groups_of(const TensorView& scale) const {
    const std::int64_t found = scale.present() && scale.rank == 3 ? scale.shape[rows_last() ? 1 : 2] : 1;
    return std::max<std::int64_t>(found, 1);
  }

  std::int64_t number_of_groups(const TensorView& scale, std::int64_t columns) const {
    if (scheme_.group_size == whole_row) return 1;
    if (scheme_.group_size > 0) return columns / scheme_.group_size;
    return std::min(groups_of(scale), columns);
  }

  void check_zero_points(const std::string& name, const TensorView& zeros, const Shape& shape,
                         const std::string& why) const {
    if (scheme_.zero_points == Choice::no || (scheme_.zero_points == Choice::runtime && !zeros.present())) {
      return require_absent(name, zeros);
    }
    require(name, zeros, zeros.dtype == DType::u8, "U8", shape, why);
    if (key_.element != QuantElement::uint4b8) return;
    for (std::int64_t i = 0; i < zeros.count(); ++i) {
      const auto code = std::to_integer<int>(zeros.data[i]);
      if (code > 15) raise_mismatch(name, "the code " + std::to_string(code), "codes from 0 to 15 (int4)");
    }
  }

  static void check_group_index(const std::string& name, const TensorView& index, std::int64_t experts,
                                std::int64_t columns, std::int64_t groups) {
    require(name, index, index.dtype == DType::i32, "I32", {experts, columns}, " (the group of each column)");
    for (std::int64_t i = 0; i < index.count(); ++i) {
      const auto group = load_element<std::int32_t>(index.data, i);
      if (group < 0 || group >= groups) {
        raise_mismatch(name, "the group " + std::to_string(group), "groups from 0 to " + std::to_string(groups - 1));
      }
    }
  }

  static void require_per_expert(const std::string& name, const TensorView& tensor, std::int64_t experts,
                                 bool two_parts) {
    const bool of_parts = two_parts && tensor.present() && tensor.rank == 2;
    require(name, tensor, tensor.dtype == DType::f32, "F32", of_parts ? Shape{experts, 2} : Shape{experts},
            of_parts ? " (one scale for w1 and one for w3 of an expert)" : " (one scale per expert)");
  }

  /// The greatest of all experts; 1 where the scheme computes without.
  float input_scale(const std::string& name, const TensorView& tensor, std::int64_t experts) const {
    const bool needed = takes_input_scale(scheme_.keys.effective_activation());
    if (!tensor.present() && !needed) return 1.0F;
    const bool shared = tensor.present() && tensor.rank == 1 && tensor.shape[0] == 1;
    require(name, tensor, tensor.dtype == DType::f32, "F32", {shared ? 1 : experts},
            " (a static activation scale; in mode faithful it is needed)");
    float greatest = 0.0F;
    for (std::int64_t i = 0; i < tensor.count(); ++i) {
      const float stored = load_element<float>(tensor.data, i);
      const float scale = checkpoint_.reciprocal_global_scale ? 1.0F / stored : stored;
      if (!(scale >= 0.0F) || std::isinf(scale)) {
        raise_mismatch(name, std::to_string(stored), "scales that are finite and not negative");
      }
      greatest = std::max(greatest, scale);
    }
    return greatest;
  }

  // ---- one tensor

  static void require(const std::string& name, const TensorView& tensor, bool type_fits, const std::string& types,
                      const Shape& shape, const std::string& why = {}) {
    if (!tensor.present() || !type_fits || shape_of(tensor) != shape) {
      raise_mismatch(name, describe(tensor), types + " " + describe(shape) + why);
    }
  }

  void require_absent(const std::string& name, const TensorView& tensor) const {
    if (tensor.present()) {
      raise_mismatch(name, describe(tensor), "no such tensor for the scheme " + std::string(scheme_.name));
    }
  }

  static std::string describe(const TensorView& tensor) { return quant::describe(tensor); }
  static std::string describe(const Shape& shape) { return detail::describe(shape); }

  SchemeInfo scheme_;
  QuantKey key_;
  const MoECheckpoint& checkpoint_;
  PackFormat format_;
};

}  // namespace detail

/// The sizes that a checkpoint of a scheme speaks of: experts here, H, I and whether W13 holds gate and up. Raises
/// polymoe::Error where the weights' shapes and types do not go together.
inline LayerShape checkpoint_shape(const SchemeInfo& scheme, const MoECheckpoint& checkpoint) {
  return detail::CheckpointValidator(scheme, checkpoint).shape();
}

/// Checks shape, type and presence of every tensor that the scheme needs, refuses those that it does not, and gathers
/// what a kernel needs beside the packed weights. Raises polymoe::Error that names the tensor, what was found and what
/// was expected.
inline QuantConfig make_quant_config(const SchemeInfo& scheme, const MoECheckpoint& checkpoint,
                                     Activation activation = Activation::silu,
                                     const ActivationParameters& parameters = {}) {
  return detail::CheckpointValidator(scheme, checkpoint).config(activation, parameters);
}

/// Columns that share a scale of wna16: 32, 64, 128, or whole_row; 0 for other schemes.
template <Scheme S>
std::int32_t checkpoint_group_size(const MoECheckpoint& checkpoint) {
  return detail::CheckpointValidator(scheme_info<S>, checkpoint).group_size();
}

template <Scheme S>
LayerShape checkpoint_shape(const MoECheckpoint& checkpoint) {
  return checkpoint_shape(scheme_info<S>, checkpoint);
}

template <Scheme S>
QuantConfig make_quant_config(const MoECheckpoint& checkpoint, Activation activation = Activation::silu,
                              const ActivationParameters& parameters = {}) {
  return make_quant_config(scheme_info<S>, checkpoint, activation, parameters);
}

}  // namespace polymoe::quant
