// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/experts/reference_math.hpp"
#include "polymoe/experts/reference_routing.hpp"
#include "polymoe/layout/dense.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// The layer of numerics.md in plain scalar code: slot by slot, dot product by dot product, sums in Real. It is the
/// judge of every other experts class, so it shares no arithmetic with them. Each slot's intermediate is kept until all
/// are there, because fp8_dynamic_tensor scales them by the greatest of all.
template <ExpertsForm form, quant::Scheme Scheme, class Real = double>
class Reference {
 public:
  using backend = polymoe::backend::Reference;
  using scheme = Scheme;
  using kernel_format = layout::Dense<Real>;
  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format =
      form == ExpertsForm::batched ? ActivationFormat::batched : ActivationFormat::standard;

  Reference(PackedWeightsView weights, const Layer& layer) : weights_(weights), layer_(layer) {}

  const Layer& layer() const noexcept { return layer_; }

  /// Bytes that one call needs for up to `max_tokens` rows (batched: rows of the whole [E * max_tokens, H] matrix).
  std::size_t workspace_size(std::int64_t max_tokens, int concurrency) const noexcept {
    WorkspaceCutter cutter;
    cut(cutter, max_tokens, concurrency);
    return cutter.used();
  }

  template <Executor E>
  void apply(const ModularArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::modular) {
    WorkspaceCutter cutter(workspace);
    run(arguments, cut(cutter, arguments.hidden_states.rows, executor.concurrency()), executor);
  }

  template <Executor E>
  void apply(const MonolithicArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::monolithic) {
    WorkspaceCutter cutter(workspace);
    const std::int64_t tokens = arguments.hidden_states.rows;
    const Arrays arrays = cut(cutter, tokens, executor.concurrency());
    const MatrixView<float> weights(arrays.topk_weights, tokens, layer_.shape.top_k);
    const MatrixView<std::int32_t> ids(arrays.topk_ids, tokens, layer_.shape.top_k);
    const reference::Router router(layer_.routing, layer_.routing_parameters, layer_.e_score_correction_bias);
    const TokensView& logits = arguments.router_logits;
    executor.parallel_for(tokens, [&](std::int64_t t, int worker) {
      router.route(logits.row(t), logits.dtype, layer_.shape.num_experts, layer_.shape.top_k, weights.row(t),
                   ids.row(t), arrays.routing_scratch + worker * 3 * layer_.shape.num_experts);
    });
    run(ModularArguments{arguments.out, arguments.hidden_states, weights, ids}, arrays, executor);
    copy_choice(arguments, weights, ids);
  }

  template <Executor E>
  void apply(const BatchedArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::batched) {
    WorkspaceCutter cutter(workspace);
    const std::int64_t rows = arguments.hidden_states.rows;
    const Arrays arrays = cut(cutter, rows, executor.concurrency());
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t expert = row / arguments.max_tokens;
      const bool used = row % arguments.max_tokens < arguments.expert_num_tokens[static_cast<std::size_t>(expert)];
      arrays.slots[row] = {row, used ? expert : -1, 1.0F};
    }
    first_products(arguments.hidden_states, rows, arrays, executor);
    executor.parallel_for(rows, [&](std::int64_t row, int worker) {
      if (arrays.slots[row].expert < 0) return;
      Real* const y = arrays.scratch_of(worker, layer_.shape);
      second_product(arrays, row, y);
      for (std::int64_t h = 0; h < layer_.shape.hidden_size; ++h) store(arguments.out, row, h, y[h]);
    });
  }

 private:
  static constexpr QuantKey activation_key = Scheme::keys.effective_activation();

  /// One (token, expert) pair; expert -1 contributes nothing.
  struct Slot {
    std::int64_t row;
    std::int64_t expert;
    float input_weight;
  };

  struct Arrays {
    Slot* slots;
    Real* intermediates;   ///< [slots, I]
    float* tensor_scales;  ///< of the first and of the second product
    Real* scratch;         ///< for each worker: H + 2I + H numbers
    float* row;            ///< for each worker: the longer of H and I
    float* topk_weights;
    std::int32_t* topk_ids;
    double* routing_scratch;  ///< for each worker 3 E numbers

    static std::int64_t scratch_elements(const LayerShape& shape) { return 2 * shape.hidden_size + shape.w13_rows(); }
    static std::int64_t row_elements(const LayerShape& shape) {
      return shape.hidden_size > shape.intermediate_size ? shape.hidden_size : shape.intermediate_size;
    }
    Real* scratch_of(int worker, const LayerShape& shape) const { return scratch + worker * scratch_elements(shape); }
    float* row_of(int worker, const LayerShape& shape) const { return row + worker * row_elements(shape); }
  };

  std::int64_t slots_per_row() const { return form == ExpertsForm::batched ? 1 : layer_.shape.slots_per_token(); }

  Arrays cut(WorkspaceCutter& cutter, std::int64_t rows, int concurrency) const noexcept {
    const LayerShape& shape = layer_.shape;
    const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    const std::int64_t slots = rows * slots_per_row();
    const std::int64_t routed = is_monolithic ? rows * shape.top_k : 0;
    Arrays arrays{};
    arrays.slots = cutter.take<Slot>(size(slots));
    arrays.intermediates = cutter.take<Real>(size(slots * shape.intermediate_size));
    arrays.tensor_scales = cutter.take<float>(2);
    arrays.scratch = cutter.take<Real>(size(Arrays::scratch_elements(shape) * concurrency));
    arrays.row = cutter.take<float>(size(Arrays::row_elements(shape) * concurrency));
    arrays.topk_weights = cutter.take<float>(size(routed));
    arrays.topk_ids = cutter.take<std::int32_t>(size(routed));
    arrays.routing_scratch = cutter.take<double>(is_monolithic ? size(3 * shape.num_experts * concurrency) : 0);
    return arrays;
  }

  template <Executor E>
  void run(const ModularArguments& arguments, const Arrays& arrays, E& executor) const noexcept {
    const LayerShape& shape = layer_.shape;
    const std::int64_t tokens = arguments.hidden_states.rows;
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t j = 0; j < shape.slots_per_token(); ++j) arrays.slots[slot(t, j)] = slot_of(arguments, t, j);
    }
    first_products(arguments.hidden_states, tokens * shape.slots_per_token(), arrays, executor);
    executor.parallel_for(tokens, [&](std::int64_t t, int worker) {
      Real* const sum = arrays.scratch_of(worker, shape);
      Real* const y = sum + shape.hidden_size;
      for (std::int64_t h = 0; h < shape.hidden_size; ++h) sum[h] = 0;
      for (std::int64_t j = 0; j < shape.slots_per_token(); ++j) {
        if (arrays.slots[slot(t, j)].expert < 0) continue;
        second_product(arrays, slot(t, j), y);
        const Real c = output_weight(arguments, t, j);
        for (std::int64_t h = 0; h < shape.hidden_size; ++h) sum[h] += c * y[h];
      }
      for (std::int64_t h = 0; h < shape.hidden_size; ++h) store(arguments.out, t, h, sum[h]);
    });
  }

  std::int64_t slot(std::int64_t t, std::int64_t j) const { return t * layer_.shape.slots_per_token() + j; }

  Slot slot_of(const ModularArguments& arguments, std::int64_t t, std::int64_t j) const {
    if (j >= layer_.shape.top_k) return {t, layer_.shape.num_local_experts + j - layer_.shape.top_k, 1.0F};
    const bool on_input = layer_.apply_router_weight_on_input;
    return {t, layer_.packed_expert(arguments.topk_ids.row(t)[j]), on_input ? arguments.topk_weights.row(t)[j] : 1.0F};
  }

  Real output_weight(const ModularArguments& arguments, std::int64_t t, std::int64_t j) const {
    const bool weighted = j < layer_.shape.top_k && !layer_.apply_router_weight_on_input;
    return weighted ? static_cast<Real>(arguments.topk_weights.row(t)[j]) : Real(1);
  }

  /// Intermediates of all slots: act(x' W13^T + b13).
  template <Executor E>
  void first_products(const TokensView& hidden_states, std::int64_t slots, const Arrays& arrays,
                      E& executor) const noexcept {
    const LayerShape& shape = layer_.shape;
    arrays.tensor_scales[0] = layer_.quant.w13_input_scale;
    arrays.tensor_scales[1] = layer_.quant.w2_input_scale;
    if constexpr (activation_key == quant_key::fp8_dynamic_tensor) {
      arrays.tensor_scales[0] = scale_of_inputs(hidden_states, slots, arrays);
    }
    executor.parallel_for(slots, [&](std::int64_t s, int worker) {
      if (arrays.slots[s].expert >= 0) first_product(hidden_states, arrays, s, worker);
    });
    if constexpr (activation_key == quant_key::fp8_dynamic_tensor) {
      float greatest = 0.0F;
      for (std::int64_t s = 0; s < slots; ++s) {
        if (arrays.slots[s].expert < 0) continue;
        const Real* const row = arrays.intermediates + s * shape.intermediate_size;
        for (std::int64_t i = 0; i < shape.intermediate_size; ++i) {
          const float value = static_cast<float>(row[i]);
          greatest =
              absolute_maximum_of_numbers(&value, 1) > greatest ? absolute_maximum_of_numbers(&value, 1) : greatest;
        }
      }
      arrays.tensor_scales[1] = fp8_scale(greatest);
    }
    executor.parallel_for(slots, [&](std::int64_t s, int worker) {
      if (arrays.slots[s].expert < 0) return;
      quantize(arrays.intermediates + s * shape.intermediate_size, shape.intermediate_size, arrays.tensor_scales[1],
               arrays.row_of(worker, shape));
    });
  }

  /// fp8_dynamic_tensor looks at all rows of x', routed to a local expert or not.
  float scale_of_inputs(const TokensView& hidden_states, std::int64_t slots, const Arrays& arrays) const {
    float greatest = 0.0F;
    for (std::int64_t s = 0; s < slots; ++s) {
      const Slot& source = arrays.slots[s];
      for (std::int64_t h = 0; h < layer_.shape.hidden_size; ++h) {
        const float value = input(hidden_states, source, h);
        greatest =
            absolute_maximum_of_numbers(&value, 1) > greatest ? absolute_maximum_of_numbers(&value, 1) : greatest;
      }
    }
    return fp8_scale(greatest);
  }

  static float input(const TokensView& hidden_states, const Slot& slot, std::int64_t h) {
    return load_as_float(hidden_states.row(slot.row), hidden_states.dtype, h) * slot.input_weight;
  }

  void first_product(const TokensView& hidden_states, const Arrays& arrays, std::int64_t s, int worker) const {
    const LayerShape& shape = layer_.shape;
    const Slot& source = arrays.slots[s];
    const auto expert = kernel_format::expert(weights_.expert(source.expert), shape);
    Real* const x = arrays.scratch_of(worker, shape);
    Real* const sums = x + shape.hidden_size;
    for (std::int64_t h = 0; h < shape.hidden_size; ++h) x[h] = static_cast<Real>(input(hidden_states, source, h));
    quantize(x, shape.hidden_size, arrays.tensor_scales[0], arrays.row_of(worker, shape));
    for (std::int64_t r = 0; r < shape.w13_rows(); ++r) {
      sums[r] = reference::dot(x, expert.w13 + r * shape.hidden_size, shape.hidden_size) + expert.w13_bias[r];
    }
    const Real* const up = shape.gated ? sums + shape.intermediate_size : sums;
    Real* const intermediate = arrays.intermediates + s * shape.intermediate_size;
    for (std::int64_t i = 0; i < shape.intermediate_size; ++i) {
      intermediate[i] =
          reference::activate(layer_.quant.activation, layer_.quant.activation_parameters, sums[i], up[i]);
    }
  }

  /// y = intermediate W2^T + b2.
  void second_product(const Arrays& arrays, std::int64_t s, Real* y) const {
    const LayerShape& shape = layer_.shape;
    const auto expert = kernel_format::expert(weights_.expert(arrays.slots[s].expert), shape);
    const Real* const intermediate = arrays.intermediates + s * shape.intermediate_size;
    for (std::int64_t h = 0; h < shape.hidden_size; ++h) {
      y[h] = reference::dot(intermediate, expert.w2 + h * shape.intermediate_size, shape.intermediate_size) +
             expert.w2_bias[h];
    }
  }

  /// Replaces a row by the values that enter the product; `row` is room for its fp32 numbers.
  static void quantize(Real* values, std::int64_t n, float scale, float* row) {
    if constexpr (!activation_key.is_none()) {
      for (std::int64_t i = 0; i < n; ++i) row[i] = static_cast<float>(values[i]);
      quantize_activation_row(activation_key, row, n, scale, row);
      for (std::int64_t i = 0; i < n; ++i) values[i] = static_cast<Real>(row[i]);
    }
  }

  static void store(const MutableTokensView& out, std::int64_t row, std::int64_t column, Real value) {
    store_from_float(out.row(row), out.dtype, column, static_cast<float>(value));
  }

  static void copy_choice(const MonolithicArguments& arguments, const MatrixView<float>& weights,
                          const MatrixView<std::int32_t>& ids) {
    for (std::int64_t t = 0; t < arguments.chosen_ids.rows; ++t) {
      for (std::int64_t j = 0; j < arguments.chosen_ids.columns; ++j) {
        arguments.chosen_ids.row(t)[j] = ids.row(t)[j];
        arguments.chosen_weights.row(t)[j] = weights.row(t)[j];
      }
    }
  }

  PackedWeightsView weights_;
  Layer layer_;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
