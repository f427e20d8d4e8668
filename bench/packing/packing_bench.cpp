// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// convert_to_kernel_format of whole layers that no cache holds, in bytes read and written per second, beside a copy on
// the same threads. The packed layer is fresh memory each time, as it is when a model is loaded: its pages are made on
// the way. `of_copy` compares with a copy into memory that is already there, `of_fresh_copy` with one into memory that
// is as new.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "bench/layer/random_checkpoint.hpp"
#include "bench/layer/scheme.hpp"
#include "bench/layer/shape.hpp"
#include "examples/support/kernel_table.hpp"
#include "polymoe/execution/openmp_executor.hpp"

namespace polymoe::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr std::size_t copied_bytes = std::size_t{1} << 30;

/// Memory whose pages are there.
Workspace touched_memory() {
  Workspace memory(copied_bytes);
  std::memset(memory.data(), 1, copied_bytes);
  return memory;
}

/// Bytes read and written per second by the fastest of several copies, each to memory(), which takes no time itself.
template <class Memory>
double copy_rate(const OpenMpExecutor& executor, const Workspace& from, Memory memory) {
  constexpr std::size_t piece = std::size_t{4} << 20;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto& to = memory();
    const Clock::time_point start = Clock::now();
    executor.parallel_for(static_cast<std::int64_t>(copied_bytes / piece), [&](std::int64_t index, int) {
      const std::size_t first = static_cast<std::size_t>(index) * piece;
      std::memcpy(to.data() + first, from.data() + first, piece);
    });
    best = std::max(best, 2.0 * copied_bytes / seconds_since(start));
  }
  return best;
}

FusedMoEConfig config_of(const Shape& shape) {
  FusedMoEConfig config = any_layer;
  config.num_experts = shape.num_experts;
  config.top_k = shape.top_k;
  config.hidden_size = shape.hidden_size;
  config.intermediate_size = shape.intermediate_size;
  config.activation = shape.activation;
  config.w13_layout = shape.w13_layout;
  config.in_dtype = DType::bf16;
  config.apply_router_weight_on_input = Choice::no;
  config.routing = RoutingMethod::given;
  return config;
}

void pack(benchmark::State& state, const Shape& shape, const MeasuredScheme& scheme, int threads) {
  static const tools::KernelTable kernels;
  OpenMpExecutor openmp(threads);
  const AnyExecutor executor(openmp);
  const RandomCheckpoint random(shape, scheme, executor, true);
  const tools::LayerKernel& kernel = kernels.select(config_of(shape), scheme.keys, "");
  const tools::LayerSource source{
      .checkpoint = random.checkpoint(),
      .activation = shape.activation,
      .activation_parameters = {},
      .parameters = {.num_experts = shape.num_experts, .top_k = shape.top_k, .routing = RoutingMethod::given}};
  const double checkpoint_bytes = static_cast<double>(random.expert_bytes()) * static_cast<double>(shape.num_experts);
  static const Workspace from = touched_memory(), to = touched_memory();
  const double copy = copy_rate(openmp, from, []() -> const Workspace& { return to; });
  const double fresh_copy = copy_rate(openmp, from, [] { return Workspace(copied_bytes); });
  double seconds = 1e30, bytes = 0;
  for (auto _ : state) {
    const Clock::time_point start = Clock::now();
    const std::unique_ptr<tools::BoundLayer> layer = kernel.bind(source, executor);
    const double took = seconds_since(start);
    state.SetIterationTime(took);
    seconds = std::min(seconds, took);
    bytes = checkpoint_bytes + static_cast<double>(layer->packed_bytes());
  }
  state.counters["bytes_per_second"] = bytes / seconds;
  state.counters["copy_bytes_per_second"] = copy;
  state.counters["of_copy"] = bytes / seconds / copy;
  state.counters["of_fresh_copy"] = bytes / seconds / fresh_copy;
  state.SetLabel(std::string(kernel.backend));
}

void add_all() {
  const Shape& shape = shapes[0];
  const auto all = static_cast<int>(std::thread::hardware_concurrency());
  for (const MeasuredScheme& scheme : schemes) {
    for (const int threads : {1, all}) {
      benchmark::RegisterBenchmark(
          (std::string(shape.name) + "/" + std::string(scheme.name) + "/threads:" + std::to_string(threads)).c_str(),
          &pack, shape, scheme, threads)
          ->UseManualTime()
          ->Iterations(4)
          ->Unit(benchmark::kMillisecond);
      if (all == 1) break;
    }
  }
}

}  // namespace
}  // namespace polymoe::bench

int main(int argc, char** argv) {
  polymoe::bench::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
