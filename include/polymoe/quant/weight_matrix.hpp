// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::quant {

/// One expert's W13 or W2 as the checkpoint stores it: [rows, columns] = [N, K] in logical terms.
struct WeightMatrix {
  ProjectionTensors tensors{};  ///< each cut down to this expert
  QuantKey key{};
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  /// The exact value of one weight (numerics.md, section 4, "Weight keys"), evaluated in double.
  double value(std::int64_t row, std::int64_t column) const noexcept {
    return static_cast<double>(load_as_float(tensors.weight.data, tensors.weight.dtype, row * columns + column));
  }

  /// The bias of one row; 0 where the checkpoint has none.
  float bias(std::int64_t row) const noexcept {
    return tensors.bias.present() ? load_as_float(tensors.bias.data, tensors.bias.dtype, row) : 0.0F;
  }
};

/// Everything a checkpoint says of one expert.
struct ExpertCheckpoint {
  WeightMatrix w13{};  ///< [2I, H] in the checkpoint's row order, or [I, H]
  WeightMatrix w2{};   ///< [H, I]
  W13Layout w13_layout = W13Layout::concatenated;

  /// Row of w13 that holds gate (or w1) i.
  constexpr std::int64_t gate_row(std::int64_t i, std::int64_t intermediate_size) const {
    return w13.rows == intermediate_size ? i : w13_row(w13_layout, i, false, intermediate_size);
  }
  /// Row of w13 that holds up i; only where the activation is gated.
  constexpr std::int64_t up_row(std::int64_t i, std::int64_t intermediate_size) const {
    return w13_row(w13_layout, i, true, intermediate_size);
  }
};

/// The slice of `tensor` [E, ...] that belongs to `expert`; absent stays absent, a tensor of one element is shared.
constexpr TensorView expert_slice(const TensorView& tensor, std::int64_t expert) {
  if (!tensor.present() || (tensor.rank == 1 && tensor.shape[0] == 1 && expert > 0)) return tensor;
  TensorView slice = tensor;
  slice.rank = tensor.rank - 1;
  for (std::size_t i = 0; i + 1 < slice.shape.size(); ++i) slice.shape[i] = tensor.shape[i + 1];
  slice.data += static_cast<std::int64_t>(slice.bytes()) * expert;
  return slice;
}

constexpr ProjectionTensors expert_slice(const ProjectionTensors& tensors, std::int64_t expert) {
  return {expert_slice(tensors.weight, expert),
          expert_slice(tensors.weight_scale, expert),
          expert_slice(tensors.weight_scale_2, expert),
          expert_slice(tensors.zero_point, expert),
          tensors.input_scale,
          expert_slice(tensors.g_idx, expert),
          expert_slice(tensors.bias, expert)};
}

template <Scheme S>
constexpr ExpertCheckpoint expert_checkpoint(const MoECheckpoint& checkpoint, std::int64_t expert,
                                             const LayerShape& shape) {
  return {{expert_slice(checkpoint.w13, expert), S::keys.weight, shape.w13_rows(), shape.hidden_size},
          {expert_slice(checkpoint.w2, expert), S::keys.weight, shape.hidden_size, shape.intermediate_size},
          checkpoint.w13_layout};
}

}  // namespace polymoe::quant
