// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "examples/support/any_executor.hpp"
#include "examples/support/layer_file.hpp"
#include "examples/support/layer_kernel.hpp"
#include "examples/support/safetensors.hpp"
#include "polymoe/config/fused_moe_config.hpp"

namespace polymoe::tools {

/// The layer as its oracle is asked about it.
inline FusedMoEConfig config_of(const LayerFile& layer) {
  FusedMoEConfig config = any_layer;
  config.num_experts = layer.shape.num_experts;
  config.top_k = layer.shape.top_k;
  config.hidden_size = layer.shape.hidden_size;
  config.intermediate_size = layer.shape.intermediate_size;
  config.activation = layer.activation;
  config.w13_layout = layer.checkpoint.w13_layout;
  config.in_dtype = layer.hidden_states.dtype;
  config.apply_router_weight_on_input = layer.parameters.apply_router_weight_on_input ? Choice::yes : Choice::no;
  config.routing = layer.parameters.routing;
  return config;
}

inline TokensView rows_of(const TensorView& tensor) {
  return {tensor.data, tensor.dtype, tensor.shape[0], tensor.shape[1], tensor.shape[1]};
}

template <class T>
MatrixView<const T> matrix(const TensorView& tensor) {
  return {reinterpret_cast<const T*>(tensor.data), tensor.shape[0], tensor.shape[1]};
}

/// The results of a layer: memory, and the file made of it.
class LayerOutput {
 public:
  LayerOutput(const LayerFile& layer, bool f32)
      : layer_(layer),
        dtype_(f32 ? DType::f32 : layer.hidden_states.dtype),
        output_(static_cast<std::size_t>(layer.tokens * layer.shape.hidden_size) * size_of(dtype_)) {
    if (layer.parameters.routing == RoutingMethod::given) return;
    const auto chosen = static_cast<std::size_t>(layer.tokens * layer.shape.top_k);
    topk_ids_.resize(chosen);
    topk_weights_.resize(chosen);
  }

  /// Routes, unless the file says which experts, and computes.
  void compute(BoundLayer& bound, const AnyExecutor& executor) {
    const std::int64_t hidden_size = layer_.shape.hidden_size;
    const MutableTokensView out(output_.data(), dtype_, layer_.tokens, hidden_size, hidden_size);
    if (layer_.parameters.routing == RoutingMethod::given) {
      bound.apply(out, rows_of(layer_.hidden_states), matrix<float>(layer_.topk_weights),
                  matrix<std::int32_t>(layer_.topk_ids), executor);
      return;
    }
    const MatrixView<float> topk_weights(topk_weights_.data(), layer_.tokens, layer_.shape.top_k);
    const MatrixView<std::int32_t> topk_ids(topk_ids_.data(), layer_.tokens, layer_.shape.top_k);
    bound.route(rows_of(layer_.router_logits), topk_weights, topk_ids, executor);
    bound.apply(out, rows_of(layer_.hidden_states), topk_weights, topk_ids, executor);
  }

  void write(const std::string& path) const {
    std::vector<NamedTensor> tensors{{"output", view(output_.data(), dtype_, layer_.shape.hidden_size)}};
    if (layer_.parameters.routing != RoutingMethod::given) {
      tensors.push_back({"topk_ids", view(topk_ids_.data(), DType::i32, layer_.shape.top_k)});
      tensors.push_back({"topk_weights", view(topk_weights_.data(), DType::f32, layer_.shape.top_k)});
    }
    write_safetensors(path, {}, tensors);
  }

  TokensView output() const {
    return {output_.data(), dtype_, layer_.tokens, layer_.shape.hidden_size, layer_.shape.hidden_size};
  }
  std::span<const std::int32_t> topk_ids() const { return topk_ids_; }
  std::span<const float> topk_weights() const { return topk_weights_; }

 private:
  template <class T>
  TensorView view(const T* data, DType dtype, std::int64_t columns) const {
    return {reinterpret_cast<const std::byte*>(data), dtype, {layer_.tokens, columns}, 2};
  }

  const LayerFile& layer_;
  DType dtype_;
  std::vector<std::byte> output_;
  std::vector<std::int32_t> topk_ids_;
  std::vector<float> topk_weights_;
};

}  // namespace polymoe::tools
