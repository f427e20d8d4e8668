// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "examples/support/layer_file.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/kernel/select_kernel.hpp"
#include "polymoe/quant/validate.hpp"

namespace polymoe::test {

/// An output in fp32, with what was chosen where the kernel routed.
struct LayerOutput {
  std::vector<float> values;
  std::vector<std::int32_t> topk_ids;
  std::vector<float> topk_weights;
  std::int64_t columns = 0;

  TokensView view() const {
    const auto rows = static_cast<std::int64_t>(values.size()) / columns;
    return MatrixView<const float>(values.data(), rows, columns);
  }
};

inline TokensView tokens_view(const TensorView& tensor) {
  return {tensor.data, tensor.dtype, tensor.shape[0], tensor.shape[1], tensor.shape[1]};
}

/// any_layer as a kernel gets it that routes by itself, or that is told.
constexpr FusedMoEConfig any_layer_that(bool routes) {
  FusedMoEConfig config = any_layer;
  config.expects_router_logits = routes;
  return config;
}

/// Packs the layer for a kernel type and runs it: by router logits, or by the given ids where it takes those.
template <class Kernel, Executor E = SerialExecutor>
LayerOutput run_layer(const tools::LayerFile& layer, E&& executor = {}) {
  const PackedWeights weights = Kernel::convert_to_kernel_format(layer.checkpoint, executor);
  const QuantConfig quant_config = quant::make_quant_config<typename Kernel::scheme>(layer.checkpoint, layer.activation,
                                                                                     layer.activation_parameters);
  const Kernel kernel(weights, quant_config, layer.parameters);
  const Workspace workspace(kernel.workspace_size(layer.tokens, executor.concurrency()));
  LayerOutput output;
  output.columns = layer.shape.hidden_size;
  output.values.assign(static_cast<std::size_t>(layer.tokens * output.columns), 0.0F);
  const MatrixView<float> out(output.values.data(), layer.tokens, output.columns);
  const std::int64_t top_k = layer.shape.top_k;
  if constexpr (Kernel::candidate::is_monolithic) {
    output.topk_ids.resize(static_cast<std::size_t>(layer.tokens * top_k));
    output.topk_weights.resize(output.topk_ids.size());
    kernel.apply(out, tokens_view(layer.hidden_states), tokens_view(layer.router_logits),
                 MatrixView<float>(output.topk_weights.data(), layer.tokens, top_k),
                 MatrixView<std::int32_t>(output.topk_ids.data(), layer.tokens, top_k), workspace, executor);
  } else {
    kernel.apply(
        out, tokens_view(layer.hidden_states),
        MatrixView<const float>(reinterpret_cast<const float*>(layer.topk_weights.data), layer.tokens, top_k),
        MatrixView<const std::int32_t>(reinterpret_cast<const std::int32_t*>(layer.topk_ids.data), layer.tokens, top_k),
        workspace, executor);
  }
  return output;
}

/// The same, with the form that the layer's routing asks for.
template <quant::Scheme Scheme, backend::Backend Backend, Executor E = SerialExecutor>
LayerOutput run_layer_on(const tools::LayerFile& layer, E&& executor = {}) {
  return layer.parameters.routing == RoutingMethod::given
             ? run_layer<PinKernel<any_layer_that(false), Scheme, Backend>>(layer, executor)
             : run_layer<PinKernel<any_layer_that(true), Scheme, Backend>>(layer, executor);
}

}  // namespace polymoe::test
