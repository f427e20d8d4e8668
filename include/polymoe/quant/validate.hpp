// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "polymoe/config/error.hpp"
#include "polymoe/config/layer.hpp"
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

inline std::string describe_shape(std::initializer_list<std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(size);
  return text + "]";
}

inline bool has_shape(const TensorView& tensor, std::initializer_list<std::int64_t> shape) {
  if (tensor.rank != static_cast<int>(shape.size())) return false;
  std::size_t i = 0;
  for (const std::int64_t size : shape) {
    if (tensor.shape[i++] != size) return false;
  }
  return true;
}

inline void require_absent(const std::string& name, const TensorView& tensor, std::string_view scheme) {
  if (tensor.present()) raise_mismatch(name, describe(tensor), "no such tensor for the scheme " + std::string(scheme));
}

/// bf16, fp16 or fp32 of the shape; absent is fine unless `required`.
inline void require_float(const std::string& name, const TensorView& tensor, std::initializer_list<std::int64_t> shape,
                          bool required) {
  if (!tensor.present() && !required) return;
  if (!tensor.present() || !is_floating_point(tensor.dtype) || !has_shape(tensor, shape)) {
    raise_mismatch(name, describe(tensor), "BF16, F16 or F32 " + describe_shape(shape));
  }
}

/// The sizes that a checkpoint of scheme S speaks of: experts here, H, I and whether W13 holds gate and up. The rest of
/// the shape (E of all ranks, top_k) is not in a checkpoint.
template <Scheme S>
LayerShape checkpoint_shape(const MoECheckpoint& checkpoint) {
  const TensorView& w13 = checkpoint.w13.weight;
  const TensorView& w2 = checkpoint.w2.weight;
  const auto require_matrix = [](const char* name, const TensorView& weight) {
    if (!weight.present() || weight.rank != 3) raise_mismatch(name, describe(weight), "a tensor of three dimensions");
    for (int i = 0; i < 3; ++i) {
      const std::int64_t size = weight.shape[static_cast<std::size_t>(i)];
      if (size < 1 || size > (std::int64_t{1} << 31)) raise_mismatch(name, describe(weight), "sizes from 1 to 2^31");
    }
  };
  require_matrix("w13_weight", w13);
  require_matrix("w2_weight", w2);
  LayerShape shape;
  shape.num_local_experts = w13.shape[0];
  shape.hidden_size = w2.shape[1];
  shape.intermediate_size = w2.shape[2];
  shape.gated = w13.shape[1] != shape.intermediate_size;
  const bool rows_fit = w13.shape[1] == shape.w13_rows();
  if (!rows_fit || w13.shape[2] != shape.hidden_size || w2.shape[0] != w13.shape[0]) {
    raise_mismatch("w13_weight", describe(w13),
                   "[E, 2I, H] or [E, I, H] to go with w2_weight " + describe(w2) + " as [E, H, I]");
  }
  return shape;
}

/// Checks every tensor of the checkpoint against the scheme.
template <Scheme S>
QuantConfig make_quant_config(const MoECheckpoint& checkpoint, Activation activation = Activation::silu,
                              const ActivationParameters& parameters = {}) {
  const LayerShape shape = checkpoint_shape<S>(checkpoint);
  const auto check = [&](const std::string& name, const ProjectionTensors& tensors, std::int64_t rows,
                         std::int64_t columns) {
    require_float(name + "_weight", tensors.weight, {shape.num_local_experts, rows, columns}, true);
    require_float(name + "_bias", tensors.bias, {shape.num_local_experts, rows}, false);
    require_absent(name + "_weight_scale", tensors.weight_scale, S::name());
    require_absent(name + "_weight_scale_2", tensors.weight_scale_2, S::name());
    require_absent(name + "_zero_point", tensors.zero_point, S::name());
    require_absent(name + "_input_scale", tensors.input_scale, S::name());
    require_absent(name + "_g_idx", tensors.g_idx, S::name());
  };
  if (activation != Activation::runtime && is_gated(activation) != shape.gated) {
    raise_mismatch("w13_weight", describe(checkpoint.w13.weight),
                   std::string(is_gated(activation) ? "2 * I" : "I") + " rows for the activation " +
                       std::string(polymoe::name(activation)));
  }
  check("w13", checkpoint.w13, shape.w13_rows(), shape.hidden_size);
  check("w2", checkpoint.w2, shape.hidden_size, shape.intermediate_size);
  return {.activation = activation, .activation_parameters = parameters};
}

}  // namespace polymoe::quant
