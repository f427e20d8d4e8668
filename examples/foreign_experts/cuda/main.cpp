// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// The same engine with a launcher of real CUDA kernels: simple ones, and correct.

#include <cstdio>
#include <cstdlib>

#include "examples/foreign_experts/compare.hpp"
#include "examples/foreign_experts/cuda/binding.hpp"
#include "polymoe/polymoe.hpp"

namespace moe = polymoe;

using Kernel = moe::SelectKernel<example::layer, moe::quant::Unquantized, moe::target::hopper>;

int main() {
  moe::ComputeCapability capability;
  if (!engine::device_capability(capability.major_version, capability.minor_version)) {
    std::puts("no CUDA device here; the launcher was compiled and not run");
    return EXIT_SUCCESS;
  }
  try {
    const double difference = example::greatest_difference<Kernel>();
    std::printf("greatest difference to the reference %g\n", difference);
    return difference < 1e-3 ? EXIT_SUCCESS : EXIT_FAILURE;
  } catch (const moe::UnsupportedError& error) {
    std::printf("this device is none that the oracle gives this kernel: %s\n", error.what());
    return EXIT_SUCCESS;
  }
}
