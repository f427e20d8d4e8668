// One program with a build of its engine for each instruction set (docs/multiarch.md): runs every build that this CPU
// can run, compares them, and tells which one would be chosen. This file itself is compiled for any CPU of the family.
#include <array>
#include <cmath>
#include <cstdio>
#include <polymoe/target/detect.hpp>
#include <polymoe/target/dispatch.hpp>

#include "examples/multiarch/engine.hpp"

int main() {
  constexpr auto builds =
      polymoe::entry_points<MULTIARCH_ENGINE_ISAS>([]<polymoe::CpuFeatures level> { return &run_layer<level>; });
  const polymoe::Target here = polymoe::target::detect();

  std::array<float, 256> first{};
  for (const auto& build : builds) {
    if (!here.cpu.has_all(build.required)) continue;
    std::array<float, 256> out{};
    std::printf("%-12s", build.function(out.data()));
    if (&build == builds.data()) first = out;
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      difference += std::pow(static_cast<double>(out[i]) - static_cast<double>(first[i]), 2);
      norm += std::pow(static_cast<double>(first[i]), 2);
    }
    std::printf(" out[0] = %8.5f, relative difference from the first %.1e\n", static_cast<double>(out[0]),
                std::sqrt(difference / norm));
    if (!(difference <= 2.5e-5 * norm)) return 1;
  }

  const auto run_here = polymoe::dispatch(builds, here);
  if (run_here == nullptr) return 1;
  std::printf("chosen: %s\n", run_here(first.data()));
}
