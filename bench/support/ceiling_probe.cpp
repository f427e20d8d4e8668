// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Compiled once for each instruction set.

#include "bench/support/ceiling_probe.hpp"

#include "polymoe/target/dispatch.hpp"

namespace polymoe::bench {

template <CpuFeatures level>
CeilingProbe ceiling_probe() {
  return {.level = level,
          .sample_products =
              [](const AnyExecutor& executor) {
                CeilingMeter meter(std::size_t{3} << 12);
                meter.sample_products(executor);
                return meter.ceilings();
              },
          .make_read_meter = []() -> void* { return new CeilingMeter; },
          .delete_read_meter = [](void* meter) { delete static_cast<CeilingMeter*>(meter); },
          .sample_read =
              [](void* meter, const AnyExecutor& executor) {
                return static_cast<CeilingMeter*>(meter)->sample_read(executor);
              }};
}

template CeilingProbe ceiling_probe<target::native_level>();

}  // namespace polymoe::bench
