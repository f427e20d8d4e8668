// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "examples/support/any_executor.hpp"
#include "examples/support/arguments.hpp"
#include "examples/support/kernel_table.hpp"
#include "examples/support/layer_file.hpp"
#include "examples/support/safetensors.hpp"

namespace polymoe::tools {
namespace {

using Clock = std::chrono::steady_clock;

/// The layer as its oracle is asked about it.
FusedMoEConfig config_of(const LayerFile& layer) {
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

TokensView rows_of(const TensorView& tensor) {
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

void print_times(std::vector<double> seconds, std::string_view backend) {
  std::sort(seconds.begin(), seconds.end());
  double sum = 0;
  for (const double each : seconds) sum += each;
  std::printf("%.*s: %zu runs, best %.6f ms, median %.6f ms, mean %.6f ms\n", static_cast<int>(backend.size()),
              backend.data(), seconds.size(), 1e3 * seconds.front(), 1e3 * seconds[seconds.size() / 2],
              1e3 * sum / static_cast<double>(seconds.size()));
}

int run(const Arguments& arguments) {
  const KernelTable kernels;
  if (arguments.has("--list-backends")) {
    for (const std::string_view name : kernels.backends()) std::puts(std::string(name).c_str());
    return 0;
  }
  const std::vector<std::string_view> executors = executor_names();
  const std::string_view executor_name = executors[arguments.choice("--executor", executors, 0)];
  const auto threads = static_cast<int>(arguments.integer("--threads", 0, 1, 1024));
  const auto repeat = static_cast<int>(arguments.integer("--repeat", 1, 1, 1'000'000));
  const bool explains = arguments.has("--explain");
  if (arguments.operands().empty()) arguments.refuse_argument("IN.safetensors", "nothing", "a layer file");
  if (!explains) static_cast<void>(arguments.required("-o"));

  const LayerFile layer = LayerFile::load(arguments.operands()[0]);
  const FusedMoEConfig config = config_of(layer);
  if (explains) std::fputs(oracle::to_string(kernels.explain(config, layer.keys)).c_str(), stdout);
  const LayerKernel& kernel = kernels.select(config, layer.keys, arguments.text("--backend").value_or(""));
  if (explains) std::printf("backend: %s\n", std::string(kernel.backend).c_str());
  if (!arguments.has("-o")) return 0;

  LayerOutput output(layer, arguments.has("--f32"));
  with_executor(executor_name, threads, [&](const AnyExecutor& executor) {
    const LayerSource source{layer.checkpoint, layer.activation, layer.activation_parameters, layer.parameters};
    const std::unique_ptr<BoundLayer> bound = kernel.bind(source, executor);
    bound->reserve(layer.tokens, executor.concurrency());
    std::vector<double> seconds;
    for (int i = 0; i < repeat; ++i) {
      const Clock::time_point start = Clock::now();
      output.compute(*bound, executor);
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    if (repeat > 1) print_times(seconds, kernel.backend);
  });
  output.write(arguments.required("-o"));
  return 0;
}

}  // namespace
}  // namespace polymoe::tools

int main(int argc, char** argv) {
  using namespace polymoe::tools;
  const Usage usage{
      .program = "polymoe-run",
      .synopsis = "IN.safetensors -o OUT.safetensors [options]",
      .description =
          "Computes the mixture-of-experts layer of a layer file (docs/layer_file.md).\n"
          "Exit code: 0; 1 where a backend does not support the layer or the output cannot be written;\n"
          "2 where the file or the command line is malformed.",
      .options = {{"-o", "FILE", "where 'output' goes, and topk_ids and topk_weights where the runner routes"},
                  {"--backend", "NAME", "this backend instead of the first that serves the layer"},
                  {"--f32", "", "write the output as F32 instead of the type of hidden_states"},
                  {"--executor", "NAME", "serial, openmp or tbb; default: serial"},
                  {"--threads", "N", "threads of openmp and tbb; default: all"},
                  {"--repeat", "N", "compute N times and print the times"},
                  {"--explain", "", "print every candidate's answer; needs no -o"},
                  {"--list-backends", "", "print the backends that this CPU can run, one a line"}},
      .max_operands = 1};
  return run_tool(usage, argc, argv, run);
}
