// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "examples/polymoe_run/kernel_table.hpp"
#include "examples/polymoe_run/options.hpp"
#include "examples/support/layer_file.hpp"
#include "examples/support/safetensors.hpp"

namespace polymoe::tools {
namespace {

/// The results of a run: memory, and the file made of it.
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

  LayerRun run(int repeat) {
    const std::int64_t tokens = layer_.tokens;
    const std::int64_t hidden_size = layer_.shape.hidden_size;
    return {.out = {output_.data(), dtype_, tokens, hidden_size, hidden_size},
            .topk_weights = {topk_weights_.data(), tokens, layer_.shape.top_k},
            .topk_ids = {topk_ids_.data(), tokens, layer_.shape.top_k},
            .repeat = repeat};
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

void run(const RunOptions& options) {
  if (options.help) {
    std::fputs(RunOptions::usage.data(), stdout);
    return;
  }
  const KernelTable kernels;
  if (options.list_backends) {
    for (const std::string_view name : kernels.backends()) std::puts(std::string(name).c_str());
    return;
  }
  const LayerFile layer = LayerFile::load(options.input);
  if (options.explain) std::fputs(oracle::to_string(kernels.explain(layer)).c_str(), stdout);
  const LayerKernel& kernel = kernels.select(layer, options.backend);
  if (options.explain) std::printf("backend: %s\n", std::string(kernel.backend).c_str());
  if (options.output.empty()) return;
  LayerOutput output(layer, options.f32);
  const bool known = with_executor(options.executor, options.threads, [&](const AnyExecutor& executor) {
    LayerRun layer_run = output.run(options.repeat);
    kernel.run(layer, executor, layer_run);
    if (options.repeat > 1) print_times(layer_run.seconds, kernel.backend);
  });
  if (!known) {
    std::string names;
    for (const std::string_view name : executor_names()) names += (names.empty() ? "" : ", ") + std::string(name);
    refuse("polymoe-run", "--executor", in_quotes(options.executor), "one of " + names);
  }
  output.write(options.output);
}

int fail(const char* message, int exit_code) {
  std::fprintf(stderr, "polymoe-run: %s\n", message);
  return exit_code;
}

}  // namespace
}  // namespace polymoe::tools

int main(int count, char** arguments) {
  using namespace polymoe;
  try {
    tools::run(tools::RunOptions::parse(count, arguments));
    return 0;
  } catch (const UnsupportedError& error) {
    return tools::fail(error.what(), 1);
  } catch (const tools::OutputError& error) {
    return tools::fail(error.what(), 1);
  } catch (const Error& error) {
    return tools::fail(error.what(), 2);
  } catch (const std::bad_alloc&) {
    return tools::fail("out of memory", 1);
  } catch (const std::exception& error) {
    return tools::fail(error.what(), 1);
  }
}
