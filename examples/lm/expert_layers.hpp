// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "examples/lm/model_config.hpp"
#include "examples/lm/transformer.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/kernel_table.hpp"
#include "examples/support/layer_kernel.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/oracle/explanation.hpp"

namespace polymoe::lm {

/// How the experts of a model are to be computed.
struct ExpertChoice {
  QuantKeys keys{};
  DType dtype = DType::bf16;  ///< what hidden states are rounded to before they enter the experts: bf16 or f32
  std::string backend{};      ///< empty: the oracle decides
};

/// The MoE layers of a model, bound to a kernel. Routes by the logits as they come, in fp32, whatever the type in which
/// the experts get the hidden states.
class ExpertLayers {
 public:
  /// Raises UnsupportedError where no backend, or not the named one, can compute such layers. The executor must outlive
  /// this.
  ExpertLayers(const tools::KernelTable& kernels, const ModelConfig& model, const ExpertChoice& choice,
               const tools::AnyExecutor& executor)
      : model_(model),
        dtype_(choice.dtype),
        executor_(&executor),
        explanation_(kernels.explain(layer_config(model, choice.dtype), choice.keys)),
        kernel_(&kernels.select(layer_config(model, choice.dtype), choice.keys, choice.backend)) {}

  /// Packs the next layer. Nothing is kept of the checkpoint.
  void add(const MoECheckpoint& checkpoint) {
    tools::LayerSource source;
    source.checkpoint = checkpoint;
    source.activation = Activation::silu;
    source.parameters.num_experts = model_.num_experts;
    source.parameters.top_k = model_.num_experts_per_tok;
    source.parameters.routing = routing_of(model_);
    layers_.push_back(kernel_->bind(source, *executor_));
  }

  std::string_view backend() const { return kernel_->backend; }
  const oracle::Explanation& explanation() const { return explanation_; }
  std::size_t packed_bytes() const {
    std::size_t bytes = 0;
    for (const auto& layer : layers_) bytes += layer->packed_bytes();
    return bytes;
  }

  /// Wall time that calls have taken so far.
  double seconds() const { return seconds_; }

  /// Routes, and computes.
  void operator()(const MoECall& call) {
    const auto start = std::chrono::steady_clock::now();
    const std::int64_t tokens = call.moe_input.rows;
    tokens_ = tokens;
    topk_ids_.resize(static_cast<std::size_t>(tokens * model_.num_experts_per_tok));
    topk_weights_.resize(topk_ids_.size());
    const MatrixView<float> weights(topk_weights_.data(), tokens, model_.num_experts_per_tok);
    const MatrixView<std::int32_t> ids(topk_ids_.data(), tokens, model_.num_experts_per_tok);
    layers_[static_cast<std::size_t>(call.layer)]->route(call.router_logits, weights, ids, *executor_);
    compute(call.layer, call.moe_input, weights, ids, call.moe_output);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// The experts alone.
  void compute(std::int64_t layer, MatrixView<const float> moe_input, MatrixView<const float> topk_weights,
               MatrixView<const std::int32_t> topk_ids, MatrixView<float> moe_output) {
    layers_[static_cast<std::size_t>(layer)]->apply(moe_output, rounded(moe_input), topk_weights, topk_ids, *executor_);
  }

  /// What the last call chose: [T, k].
  MatrixView<const std::int32_t> topk_ids() const { return {topk_ids_.data(), tokens_, model_.num_experts_per_tok}; }

 private:
  static RoutingMethod routing_of(const ModelConfig& model) {
    return model.norm_topk_prob ? RoutingMethod::renormalize : RoutingMethod::softmax;
  }

  static FusedMoEConfig layer_config(const ModelConfig& model, DType dtype) {
    return {.num_experts = model.num_experts,
            .top_k = model.num_experts_per_tok,
            .hidden_size = model.hidden_size,
            .intermediate_size = model.moe_intermediate_size,
            .activation = Activation::silu,
            .routing = routing_of(model),
            .in_dtype = dtype};
  }

  TokensView rounded(MatrixView<const float> moe_input) {
    if (dtype_ == DType::f32) return moe_input;
    rounded_.resize(static_cast<std::size_t>(moe_input.rows * moe_input.columns));
    const MatrixView<bf16> rows(rounded_.data(), moe_input.rows, moe_input.columns);
    for (std::int64_t t = 0; t < rows.rows; ++t) {
      for (std::int64_t i = 0; i < rows.columns; ++i) rows.row(t)[i] = bf16(moe_input.row(t)[i]);
    }
    return MatrixView<const bf16>(rows);
  }

  ModelConfig model_;
  DType dtype_;
  const tools::AnyExecutor* executor_;
  oracle::Explanation explanation_;
  const tools::LayerKernel* kernel_;
  std::vector<std::unique_ptr<tools::BoundLayer>> layers_;
  std::vector<bf16> rounded_;
  std::vector<float> topk_weights_;
  std::vector<std::int32_t> topk_ids_;
  std::int64_t tokens_ = 0;
  double seconds_ = 0;
};

}  // namespace polymoe::lm
