// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "examples/polymoe_run/layer_output.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/arguments.hpp"
#include "examples/support/kernel_table.hpp"
#include "examples/support/layer_file.hpp"

namespace polymoe::tools {
namespace {

using Clock = std::chrono::steady_clock;

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
