// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "examples/lm/calibrate.hpp"
#include "examples/lm/experts.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quantize/weights.hpp"

namespace polymoe::lm {

/// Bits that a weight takes in a checkpoint, with its share of scales and zero points.
inline double bits_per_weight(const MoECheckpoint& checkpoint, std::int64_t weights) {
  std::size_t bytes = 0;
  for (const ProjectionTensors* tensors : {&checkpoint.w13, &checkpoint.w2}) {
    for (const TensorView* tensor : {&tensors->weight, &tensors->weight_scale, &tensors->weight_scale_2,
                                     &tensors->zero_point, &tensors->input_scale}) {
      if (tensor->present()) bytes += tensor->bytes();
    }
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

/// A layer's experts, quantized; four-bit codes with the scales of the least square error. `range` is read by schemes
/// with static activation scales.
template <Executor E>
quant::QuantizedCheckpoint quantize_experts(const ExpertWeights& experts, const quant::NamedScheme& scheme,
                                            const std::optional<ActivationRange>& range, E& executor) {
  quant::QuantizedCheckpoint quantized =
      quant::quantize_weights(experts.checkpoint, quant::weight_format(scheme), executor);
  if (range && quant::takes_input_scale(scheme.activation)) {
    quantized.set_input_scales(static_scale(scheme.activation, range->w13), static_scale(scheme.activation, range->w2));
  }
  return quantized;
}

}  // namespace polymoe::lm
