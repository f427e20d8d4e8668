// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Compiled once for each instruction set; each build holds the backends that are native to it.

#include "examples/support/layer_kernel.hpp"

#include <algorithm>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/bind.hpp>
#include <boost/mp11/list.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "examples/support/native_backends.hpp"
#include "polymoe/config/error.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/grouped.hpp"
#include "polymoe/kernel/checks.hpp"
#include "polymoe/kernel/fused_moe_kernel.hpp"
#include "polymoe/kernel/oracle_for.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/routing/route.hpp"
#include "polymoe/target/dispatch.hpp"
#include "polymoe/target/native.hpp"

namespace polymoe::tools::inline POLYMOE_ISA {
namespace {

template <class Candidate>
using is_modular =
    boost::mp11::mp_bool<!Candidate::is_monolithic && Candidate::activation_format == ActivationFormat::standard>;

/// The modular experts class of a backend.
template <class Oracle, class Backend>
using modular_candidate =
    boost::mp11::mp_front<boost::mp11::mp_copy_if<typename Oracle::template kernel_classes<Backend>, is_modular>>;

/// The tensors without the input scales that a scheme of 16-bit activations does not read.
template <class Scheme>
MoECheckpoint read_by(MoECheckpoint checkpoint) {
  if (!quant::takes_input_scale(Scheme::keys.activation)) checkpoint.w13.input_scale = checkpoint.w2.input_scale = {};
  return checkpoint;
}

template <class Scheme, class Backend>
class KernelLayer final : public BoundLayer {
 public:
  using Kernel = FusedMoEKernel<any_layer, Scheme, modular_candidate<oracle_for<Scheme>, Backend>>;

  KernelLayer(const LayerSource& source, const AnyExecutor& executor)
      : parameters_(source.parameters),
        weights_(Kernel::convert_to_kernel_format(read_by<Scheme>(source.checkpoint), executor)),
        kernel_(weights_,
                oracle_for<Scheme>::template make_quant_config<Scheme>(read_by<Scheme>(source.checkpoint),
                                                                       source.activation, source.activation_parameters),
                source.parameters) {}

  std::size_t packed_bytes() const override { return weights_.view().size(); }

  std::size_t workspace_bytes() const override { return workspace_.size(); }

  void reserve(std::int64_t max_tokens, int concurrency) override {
    grow(workspace_, kernel_.workspace_size(max_tokens, concurrency));
    grow(routing_scratch_,
         routing::routing_scratch_bytes(kernel_.layer().shape.num_experts) * static_cast<std::size_t>(concurrency));
  }

  void route(const TokensView& router_logits, const MatrixView<float>& topk_weights,
             const MatrixView<std::int32_t>& topk_ids, const AnyExecutor& executor) override {
    const LayerShape& shape = kernel_.layer().shape;
    const std::int64_t tokens = router_logits.rows;
    checks::require_tokens("router_logits", router_logits, DType::runtime, tokens, shape.num_experts);
    checks::require_matrix("topk_weights", topk_weights, tokens, shape.top_k);
    checks::require_matrix("topk_ids", topk_ids, tokens, shape.top_k);
    detail::require_routable(kernel_.layer());
    reserve(0, executor.concurrency());
    const std::size_t scratch_bytes = routing::routing_scratch_bytes(shape.num_experts);
    constexpr std::int64_t together = 32;
    executor.parallel_for((tokens + together - 1) / together, [&](std::int64_t block, int worker) {
      routing::route(parameters_.routing, router_logits, parameters_.e_score_correction_bias,
                     parameters_.routing_parameters, topk_ids, topk_weights, block * together,
                     std::min(tokens, (block + 1) * together),
                     routing_scratch_.data() + static_cast<std::size_t>(worker) * scratch_bytes);
    });
  }

  void apply(const MutableTokensView& out, const TokensView& hidden_states, const MatrixView<const float>& topk_weights,
             const MatrixView<const std::int32_t>& topk_ids, const AnyExecutor& executor) override {
    reserve(hidden_states.rows, executor.concurrency());
    kernel_.apply(out, hidden_states, topk_weights, topk_ids, workspace_, executor);
  }

 private:
  static void grow(Workspace& workspace, std::size_t bytes) {
    if (workspace.size() < bytes) workspace = Workspace(bytes);
  }

  LayerParameters parameters_;
  PackedWeights weights_;
  Kernel kernel_;
  Workspace workspace_;
  Workspace routing_scratch_;
};

template <class Scheme, class Backend>
std::unique_ptr<BoundLayer> bind(const LayerSource& source, const AnyExecutor& executor) {
  return std::make_unique<KernelLayer<Scheme, Backend>>(source, executor);
}

/// The backend serves some layer of the scheme on a machine with the instruction sets of this build.
template <class Scheme, class Backend>
constexpr bool serves() {
  if constexpr (boost::mp11::mp_contains<typename oracle_for<Scheme>::backends, Backend>::value) {
    return static_cast<bool>(
        modular_candidate<oracle_for<Scheme>, Backend>::supports(any_layer, Scheme::keys, target::native));
  }
  return false;
}

template <class Scheme, CpuFeatures level>
void add_kernels(std::vector<LayerKernel>& kernels) {
  boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, NativeBackends<level>>>([&]<class B>(B) {
    using Backend = typename B::type;
    if constexpr (serves<Scheme, Backend>()) {
      kernels.push_back({Backend::name(), Scheme::keys, level, &bind<Scheme, Backend>});
    }
  });
}

}  // namespace
}  // namespace polymoe::tools::inline POLYMOE_ISA

namespace polymoe::tools {

template <CpuFeatures level>
std::span<const LayerKernel> layer_kernels() {
  static const std::vector<LayerKernel> kernels = [] {
    std::vector<LayerKernel> all;
    boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, quant::distinct_schemes>>(
        [&]<class S>(S) { add_kernels<typename S::type, level>(all); });
    return all;
  }();
  return kernels;
}

template std::span<const LayerKernel> layer_kernels<target::native_level>();

}  // namespace polymoe::tools
