// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "examples/foreign_experts/cuda/grouped_gemm.h"
#include "polymoe/config/error.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/layout/dense.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/oracle/foreign_experts.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"

namespace engine {

namespace moe = polymoe;

/// The launcher as an experts class: weights go to the device once, tokens with each call.
template <moe::FusedMoEConfig config, moe::quant::Scheme Scheme>
class CudaExperts {
  static_assert(config.activation == moe::Activation::silu, "the kernels know silu");

 public:
  using kernel_format = moe::layout::Dense<float>;

  CudaExperts(moe::PackedWeightsView weights, const moe::Layer& layer) : layer_(layer) {
    std::vector<HostExpert> experts;
    for (std::int64_t e = 0; e < layer.shape.num_packed_experts(); ++e) {
      const auto expert = kernel_format::expert(weights.expert(e), layer.shape);
      experts.push_back({expert.w13, expert.w2, expert.w13_bias, expert.w2_bias});
    }
    device_.reset(create_layer(experts.data(), layer.shape.num_packed_experts(), layer.shape.hidden_size,
                               layer.shape.intermediate_size),
                  destroy_layer);
    if (device_ == nullptr) moe::raise("device: found no room for the weights, expected some");
  }

  const moe::Layer& layer() const noexcept { return layer_; }

  /// Staging for tokens in fp32, in and out.
  std::size_t workspace_size(std::int64_t max_tokens, int) const noexcept {
    return static_cast<std::size_t>(2 * max_tokens * layer_.shape.hidden_size) * sizeof(float);
  }

  template <moe::Executor E>
  void apply(const moe::ModularArguments& arguments, std::byte* workspace, E&) const noexcept {
    const std::int64_t tokens = arguments.hidden_states.rows;
    const std::int64_t hidden = layer_.shape.hidden_size;
    float* const x = reinterpret_cast<float*>(workspace);
    float* const out = x + tokens * hidden;
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t h = 0; h < hidden; ++h) {
        x[t * hidden + h] = moe::load_as_float(arguments.hidden_states.row(t), arguments.hidden_states.dtype, h);
      }
    }
    // Views that are dense as the launcher wants them; an engine's launcher takes strides.
    const bool good = grouped_experts(device_.get(), x, arguments.topk_weights.data, arguments.topk_ids.data, tokens,
                                      layer_.shape.top_k, out);
    for (std::int64_t i = 0; good && i < tokens * hidden; ++i) {
      moe::store_from_float(arguments.out.row(i / hidden), arguments.out.dtype, i % hidden, out[i]);
    }
  }

 private:
  moe::Layer layer_;
  std::shared_ptr<DeviceLayer> device_;
};

}  // namespace engine

template <class Backend>
struct polymoe::foreign_experts<polymoe::oracle::vllm::On<Backend, polymoe::oracle::vllm::FlashInferExperts>> {
  static constexpr bool is_bound = true;

  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = engine::CudaExperts<config, Scheme>;

  static Target target() {
    ComputeCapability capability;
    engine::device_capability(capability.major_version, capability.minor_version);
    return polymoe::target::cuda(capability.major_version, capability.minor_version);
  }
};
