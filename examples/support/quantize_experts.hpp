// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quantize/weights.hpp"

namespace polymoe::tools {

/// What a named scheme's weights are to become. Scales of integers in groups are bf16, as real checkpoints have them.
inline quant::WeightFormat weight_format(const quant::NamedScheme& scheme, quant::ScaleSearch search) {
  return {.key = scheme.weight, .group_size = scheme.group_size, .scale_dtype = DType::bf16, .search = search};
}

/// Bits that the checkpoint holds for each weight, scales and zero points included.
inline double bits_per_weight(const MoECheckpoint& checkpoint, const LayerShape& shape) {
  double bytes = 0;
  for (const ProjectionTensors* const tensors : {&checkpoint.w13, &checkpoint.w2}) {
    for (const TensorView* const view :
         {&tensors->weight, &tensors->weight_scale, &tensors->weight_scale_2, &tensors->zero_point, &tensors->g_idx}) {
      if (view->present()) bytes += static_cast<double>(view->bytes());
    }
  }
  const auto weights =
      static_cast<double>(shape.num_local_experts * shape.hidden_size * (shape.w13_rows() + shape.intermediate_size));
  return 8.0 * bytes / weights;
}

/// A layer's experts in the scheme that a user named: made from unquantized ones when a model is loaded.
struct SchemedExperts {
  std::optional<quant::QuantizedCheckpoint> quantized;  ///< none for "bf16": the source itself
  MoECheckpoint checkpoint;                             ///< views of `quantized`, or of the source
  QuantKeys keys{};
  double bits_per_weight = 0;
};

/// Static scales of activations are not in an unquantized model. nvfp4's scale only moves the range of the block
/// scales: with 1/64 blocks whose greatest number is between 0.0015 and 42 have normal ones.
inline constexpr float uncalibrated_nvfp4_input_scale = 1.0F / 64.0F;

/// `source` must outlive the result where nothing is quantized, and for its biases. Raises polymoe::Error where the
/// scheme cannot hold the layer.
template <Executor E>
SchemedExperts quantize_experts(const MoECheckpoint& source, const quant::NamedScheme& scheme, ActivationMode mode,
                                quant::ScaleSearch search, E& executor) {
  SchemedExperts result;
  result.keys = scheme.keys(mode);
  result.checkpoint = source;
  if (!scheme.weight.is_none()) {
    result.quantized = quant::quantize_weights(source, weight_format(scheme, search), executor);
    if (quant::takes_input_scale(result.keys.activation)) {
      result.quantized->set_input_scales(uncalibrated_nvfp4_input_scale, uncalibrated_nvfp4_input_scale);
    }
    result.checkpoint = result.quantized->view();
  }
  result.bits_per_weight = bits_per_weight(result.checkpoint, quant::checkpoint_shape<quant::Unquantized>(source));
  return result;
}

}  // namespace polymoe::tools
