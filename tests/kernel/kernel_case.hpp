// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/grouped.hpp"
#include "polymoe/kernel/select_kernel.hpp"
#include "polymoe/quant/scheme.hpp"
#include "tests/experts/grouped_layer.hpp"

// A random layer and a kernel for it, put together as an engine does.

namespace polymoe::test {

/// Rows [first, first + count) of a tensor's first dimension.
inline TensorView slice(TensorView tensor, std::int64_t first, std::int64_t count) {
  if (!tensor.present()) return tensor;
  const std::size_t row = tensor.bytes() / static_cast<std::size_t>(tensor.shape[0]);
  tensor.data += static_cast<std::size_t>(first) * row;
  tensor.shape[0] = count;
  return tensor;
}

/// Experts [first, first + count) of a checkpoint; absent where there are none.
inline MoECheckpoint slice(const MoECheckpoint& checkpoint, std::int64_t first, std::int64_t count) {
  if (count == 0) return {};
  MoECheckpoint part = checkpoint;
  for (ProjectionTensors* tensors : {&part.w13, &part.w2}) {
    tensors->weight = slice(tensors->weight, first, count);
    tensors->bias = slice(tensors->bias, first, count);
  }
  return part;
}

inline LayerParameters parameters_of(const RandomLayer& made) {
  return {.num_experts = made.shape.num_experts, .top_k = made.shape.top_k, .expert_map = made.map};
}

/// A layer that is packed for `Kernel` and ready to run.
template <class Kernel_>
struct KernelCase {
  using Kernel = Kernel_;

  RandomLayer made;
  PackedWeights weights;
  Kernel kernel;

  explicit KernelCase(const LayerOptions& options, unsigned seed = 1)
      : made([&] {
          RandomLayer layer;
          make_layer(layer, options, seed);
          return layer;
        }()),
        weights(Kernel::convert_to_kernel_format(local(), SerialExecutor{}, shared())),
        kernel(weights, QuantConfig{}, parameters_of(made)) {}

  MoECheckpoint local() const { return slice(made.checkpoint, 0, made.shape.num_local_experts); }
  MoECheckpoint shared() const {
    return slice(made.checkpoint, made.shape.num_local_experts, made.shape.num_shared_experts);
  }
  MatrixView<const float> topk_weights() const { return {made.weights.data(), made.tokens, made.shape.top_k}; }
  MatrixView<const std::int32_t> topk_ids() const { return {made.ids.data(), made.tokens, made.shape.top_k}; }

  template <Executor E = SerialExecutor>
  Tensor run(E&& executor = {}, DType out_dtype = DType::f32) const {
    Tensor out(out_dtype, {made.tokens, made.shape.hidden_size});
    const Workspace workspace(kernel.workspace_size(made.tokens, executor.concurrency()));
    std::fill(workspace.data(), workspace.data() + workspace.size(), std::byte{0xFF});
    kernel.apply(out.mutable_tokens(), made.x.tokens(), topk_weights(), topk_ids(), workspace, executor);
    return out;
  }
};

/// bf16 and silu, all sizes at run time.
inline constexpr FusedMoEConfig modular_config{};
inline constexpr FusedMoEConfig monolithic_config{.expects_router_logits = true};

}  // namespace polymoe::test
