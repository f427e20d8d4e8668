// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/experts/reference_math.hpp"
#include "polymoe/layout/dense.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/routing/route.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

namespace reference {

/// Slot (t, j) of the layer: expert -1 contributes nothing.
struct Slot {
  std::int64_t row = 0;      ///< of hidden_states
  std::int64_t expert = -1;  ///< packed
  float input_weight = 1;    ///< multiplies the row before the first product
};

/// The two products of a layer over any list of slots, straight from numerics.md. Accumulates in Real.
template <quant::Scheme Scheme, class Real>
class Products {
 public:
  using kernel_format = layout::Dense<Real>;
  static constexpr QuantKey activation_key = Scheme::keys.effective_activation();

  Products(PackedWeightsView weights, const Layer& layer) : weights_(weights), layer_(layer) {}

  static std::size_t scratch_elements(const LayerShape& shape) {
    return static_cast<std::size_t>(shape.hidden_size + shape.w13_rows());
  }

  /// intermediate[I] = act(x' W13^T + b13); scratch holds H + 2I numbers.
  void first(const TokensView& hidden_states, const Slot& slot, float tensor_scale, Real* scratch,
             Real* intermediate) const noexcept {
    const LayerShape& shape = layer_.shape;
    const auto expert = kernel_format::expert(weights_.expert(slot.expert), shape);
    Real* const x = scratch;
    Real* const sums = scratch + shape.hidden_size;
    load_row(hidden_states, slot, x);
    quantize(x, shape.hidden_size, tensor_scale, layer_.quant.w13_input_scale);
    for (std::int64_t r = 0; r < shape.w13_rows(); ++r) {
      sums[r] = dot(x, expert.w13 + r * shape.hidden_size, shape.hidden_size) + expert.w13_bias[r];
    }
    const Real* const up = shape.gated ? sums + shape.intermediate_size : sums;
    for (std::int64_t i = 0; i < shape.intermediate_size; ++i) {
      intermediate[i] = activate(layer_.quant.activation, layer_.quant.activation_parameters, sums[i], up[i]);
    }
  }

  /// y[H] = intermediate W2^T + b2. Quantizes the intermediate in place.
  void second(std::int64_t packed_expert, Real* intermediate, float tensor_scale, Real* y) const noexcept {
    const LayerShape& shape = layer_.shape;
    const auto expert = kernel_format::expert(weights_.expert(packed_expert), shape);
    quantize(intermediate, shape.intermediate_size, tensor_scale, layer_.quant.w2_input_scale);
    for (std::int64_t h = 0; h < shape.hidden_size; ++h) {
      y[h] = dot(intermediate, expert.w2 + h * shape.intermediate_size, shape.intermediate_size) + expert.w2_bias[h];
    }
  }

  void load_row(const TokensView& hidden_states, const Slot& slot, Real* x) const noexcept {
    for (std::int64_t h = 0; h < layer_.shape.hidden_size; ++h) {
      x[h] = static_cast<Real>(load_as_float(hidden_states.row(slot.row), hidden_states.dtype, h) * slot.input_weight);
    }
  }

  const Layer& layer() const noexcept { return layer_; }

 private:
  static void quantize(Real* row, std::int64_t n, float tensor_scale, float input_scale) noexcept {
    if constexpr (!activation_key.is_none()) quantize_dequantize_row(row, n, activation_key, tensor_scale, input_scale);
  }

  PackedWeightsView weights_;
  Layer layer_;
};

}  // namespace reference

}  // namespace polymoe::inline POLYMOE_ISA::experts
