// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>

#include "bench/support/ceilings.hpp"
#include "examples/support/any_executor.hpp"
#include "polymoe/target/cpu_features.hpp"

namespace polymoe::bench {

using tools::AnyExecutor;

/// Measures the ceilings with the instructions of one level.
struct CeilingProbe {
  CpuFeatures level;
  /// Products: some milliseconds. read_gbps stays 0.
  Ceilings (*sample_products)(const AnyExecutor&);
  /// Reads: a meter with a buffer of 1.5 GiB, and GB/s with the next of its patterns (some 20 ms).
  void* (*make_read_meter)();
  void (*delete_read_meter)(void* meter);
  double (*sample_read)(void* meter, const AnyExecutor&);
};

/// Compiled once for each level. Only to be used where the CPU can run it.
template <CpuFeatures level>
CeilingProbe ceiling_probe();

}  // namespace polymoe::bench
