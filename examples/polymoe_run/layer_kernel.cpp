// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Compiled once for each instruction set; each build holds the backends that are native to it.

#include "examples/polymoe_run/layer_kernel.hpp"

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/bind.hpp>
#include <boost/mp11/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "examples/polymoe_run/backends.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/reference_routing.hpp"
#include "polymoe/kernel/fused_moe_kernel.hpp"
#include "polymoe/kernel/oracle_for.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/target/dispatch.hpp"

namespace polymoe::tools::inline POLYMOE_ISA {
namespace {

template <class T>
MatrixView<const T> matrix(const TensorView& view) {
  return {reinterpret_cast<const T*>(view.data), view.shape[0], view.shape[1]};
}

TokensView rows_of(const TensorView& view) {
  return {view.data, view.dtype, view.shape[0], view.shape[1], view.shape[1]};
}

/// Routing by the method of the file.
class Routing {
 public:
  Routing(const LayerFile& layer, const AnyExecutor& executor)
      : layer_(layer),
        executor_(executor),
        scratch_(static_cast<std::size_t>(3 * layer.shape.num_experts * executor.concurrency())) {}

  void operator()(const MatrixView<float>& topk_weights, const MatrixView<std::int32_t>& topk_ids) {
    const LayerParameters& parameters = layer_.parameters;
    const experts::reference::Router router(parameters.routing, parameters.routing_parameters,
                                            parameters.e_score_correction_bias);
    const TokensView logits = rows_of(layer_.router_logits);
    executor_.parallel_for(logits.rows, [&](std::int64_t t, int worker) {
      router.route(logits.row(t), logits.dtype, logits.columns, topk_ids.columns, topk_weights.row(t), topk_ids.row(t),
                   scratch_.data() + 3 * logits.columns * worker);
    });
  }

 private:
  const LayerFile& layer_;
  const AnyExecutor& executor_;
  std::vector<double> scratch_;
};

template <class Candidate>
using is_modular =
    boost::mp11::mp_bool<!Candidate::is_monolithic && Candidate::activation_format == ActivationFormat::standard>;

/// The modular experts class of a backend.
template <class Oracle, class Backend>
using modular_candidate =
    boost::mp11::mp_front<boost::mp11::mp_copy_if<typename Oracle::template kernel_classes<Backend>, is_modular>>;

/// The file's tensors without the input scales that a scheme of 16-bit activations does not read.
template <class Scheme>
MoECheckpoint checkpoint_of(const LayerFile& layer) {
  MoECheckpoint checkpoint = layer.checkpoint;
  if (!quant::takes_input_scale(Scheme::keys.activation)) checkpoint.w13.input_scale = checkpoint.w2.input_scale = {};
  return checkpoint;
}

template <class Scheme, class Backend>
void run_layer(const LayerFile& layer, const AnyExecutor& executor, LayerRun& run) {
  using Kernel = FusedMoEKernel<any_layer, Scheme, modular_candidate<oracle_for<Scheme>, Backend>>;
  using Clock = std::chrono::steady_clock;
  const MoECheckpoint checkpoint = checkpoint_of<Scheme>(layer);
  const QuantConfig quant_config =
      oracle_for<Scheme>::template make_quant_config<Scheme>(checkpoint, layer.activation, layer.activation_parameters);
  const PackedWeights weights = Kernel::convert_to_kernel_format(checkpoint, executor);
  const Kernel kernel(weights, quant_config, layer.parameters);
  const Workspace workspace(kernel.workspace_size(layer.tokens, executor.concurrency()));
  const bool given = layer.parameters.routing == RoutingMethod::given;
  const MatrixView<const float> topk_weights = given ? matrix<float>(layer.topk_weights) : run.topk_weights;
  const MatrixView<const std::int32_t> topk_ids = given ? matrix<std::int32_t>(layer.topk_ids) : run.topk_ids;
  Routing route(layer, executor);
  for (int i = 0; i < run.repeat; ++i) {
    const Clock::time_point start = Clock::now();
    if (!given) route(run.topk_weights, run.topk_ids);
    kernel.apply(run.out, rows_of(layer.hidden_states), topk_weights, topk_ids, workspace, executor);
    run.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
}

template <class Scheme, class Backends>
void add_kernels(std::vector<LayerKernel>& kernels) {
  using known = typename oracle_for<Scheme>::backends;
  boost::mp11::mp_for_each<boost::mp11::mp_transform<boost::mp11::mp_identity, Backends>>([&]<class B>(B) {
    using Backend = typename B::type;
    if constexpr (boost::mp11::mp_contains<known, Backend>::value) {
      kernels.push_back({Backend::name(), Scheme::keys, &run_layer<Scheme, Backend>});
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
        [&]<class S>(S) { add_kernels<typename S::type, typename NativeBackends<level>::type>(all); });
    return all;
  }();
  return kernels;
}

template std::span<const LayerKernel> layer_kernels<target::native_level>();

}  // namespace polymoe::tools
