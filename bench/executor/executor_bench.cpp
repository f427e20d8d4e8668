// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// What parallel_for itself costs: calls of empty work, and the share of a microsecond of work that is lost.

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

#include "examples/support/any_executor.hpp"

namespace polymoe::bench {
namespace {

void spin(std::int64_t nanoseconds) {
  if (nanoseconds == 0) return;
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(nanoseconds);
  while (std::chrono::steady_clock::now() < end) {
  }
}

/// `count` pieces of work that take `nanoseconds` each.
template <class Executor>
void pieces(benchmark::State& state, Executor& executor, std::int64_t count, std::int64_t nanoseconds) {
  for (auto _ : state) {
    executor.parallel_for(count, [nanoseconds](std::int64_t index, int) {
      benchmark::DoNotOptimize(index);
      spin(nanoseconds);
    });
  }
  const double ideal = static_cast<double>(count * nanoseconds) / executor.concurrency();
  state.counters["ideal_ns"] = ideal;
}

template <class Executor>
void add(const std::string& name, Executor& executor) {
  for (const std::int64_t count : {1, 2, 16, 256}) {
    for (const std::int64_t nanoseconds : {0, 1000, 20000}) {
      benchmark::RegisterBenchmark(
          (name + "/threads:" + std::to_string(executor.concurrency()) + "/pieces:" + std::to_string(count) +
           "/ns:" + std::to_string(nanoseconds))
              .c_str(),
          [&executor, count, nanoseconds](benchmark::State& state) { pieces(state, executor, count, nanoseconds); })
          ->UseRealTime();
    }
  }
}

}  // namespace
}  // namespace polymoe::bench

int main(int argc, char** argv) {
  const auto threads = static_cast<int>(std::thread::hardware_concurrency());
  polymoe::SerialExecutor serial;
  polymoe::OpenMpExecutor openmp(threads);
  const polymoe::tools::AnyExecutor any(openmp);
  polymoe::bench::add("serial", serial);
  polymoe::bench::add("openmp", openmp);
  polymoe::bench::add("any_of_openmp", any);
#if defined(POLYMOE_WITH_TBB)
  polymoe::TbbExecutor tbb(threads);
  polymoe::bench::add("tbb", tbb);
#endif
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
