// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "examples/support/any_executor.hpp"
#include "polymoe/config/activation.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/target/cpu_features.hpp"

// What tools ask of the builds of the kernels for the various instruction sets. Only this header is shared between
// them.

namespace polymoe::tools {

/// A layer to be bound: its tensors, and everything that a config may leave to run time.
struct LayerSource {
  MoECheckpoint checkpoint;
  Activation activation = Activation::silu;
  ActivationParameters activation_parameters;
  LayerParameters parameters;  ///< its spans must outlive the bound layer
};

/// A layer bound to a kernel: packed weights, the kernel and the memory that calls work in. One call at a time.
/// The arguments of its members are those of routing::route_rows and FusedMoEKernel::apply.
class BoundLayer {
 public:
  virtual ~BoundLayer() = default;

  /// Bytes of the packed weights.
  virtual std::size_t packed_bytes() const = 0;

  /// Bytes of the memory that calls work in, as far as it is allocated.
  virtual std::size_t workspace_bytes() const = 0;

  /// Allocates for calls of up to `max_tokens` tokens. Larger calls allocate by themselves.
  virtual void reserve(std::int64_t max_tokens, int concurrency) = 0;

  /// Chooses experts by the layer's routing method: router_logits [T, E] -> topk_weights, topk_ids [T, k].
  virtual void route(const TokensView& router_logits, const MatrixView<float>& topk_weights,
                     const MatrixView<std::int32_t>& topk_ids, const AnyExecutor& executor) = 0;

  /// out [T, H] = the layer of hidden_states [T, H].
  virtual void apply(const MutableTokensView& out, const TokensView& hidden_states,
                     const MatrixView<const float>& topk_weights, const MatrixView<const std::int32_t>& topk_ids,
                     const AnyExecutor& executor) = 0;
};

/// One backend's kernel for one scheme, for any layer of it.
struct LayerKernel {
  std::string_view backend;
  QuantKeys keys;     ///< of quant::distinct_schemes
  CpuFeatures level;  ///< that it was compiled for
  /// Checks and packs the source, of which nothing is kept but the spans. Raises polymoe::Error where it does not fit.
  std::unique_ptr<BoundLayer> (*bind)(const LayerSource& source, const AnyExecutor& executor);
};

/// The kernels of the backends that are native to `level`. Only to be called where the CPU can run that level.
template <CpuFeatures level>
std::span<const LayerKernel> layer_kernels();

}  // namespace polymoe::tools
