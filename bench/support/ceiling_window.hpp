// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <vector>

#include "bench/support/ceiling_probe.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/dispatch.hpp"

namespace polymoe::bench {

/// The ceilings of every instruction set that this CPU has. Reads are those of the most capable one.
class CeilingProbes {
 public:
  CeilingProbes() {
    constexpr auto builds =
        entry_points<POLYMOE_BENCH_CEILINGS_ISAS>([]<CpuFeatures level> { return &ceiling_probe<level>; });
    const Target here = target::detect();
    for (const auto& build : builds) {
      if (here.cpu.has_all(build.required)) probes_.push_back(build.function());
    }
    read_meter_ = probes_.back().make_read_meter();
  }
  ~CeilingProbes() { probes_.back().delete_read_meter(read_meter_); }
  CeilingProbes(const CeilingProbes&) = delete;
  CeilingProbes& operator=(const CeilingProbes&) = delete;

  CpuFeatures best_level() const { return probes_.back().level; }

  double sample_read(const AnyExecutor& executor) const { return probes_.back().sample_read(read_meter_, executor); }

  Ceilings sample_products(CpuFeatures level, const AnyExecutor& executor) const {
    const auto probe = std::find_if(probes_.begin(), probes_.end(),
                                    [&](const CeilingProbe& candidate) { return candidate.level == level; });
    return probe->sample_products(executor);
  }

 private:
  std::vector<CeilingProbe> probes_;
  void* read_meter_ = nullptr;
};

/// The best of the samples that were taken between the repetitions of one measurement: neighbours on a shared host slow
/// both down, and what a kernel is judged by was there when it ran.
class CeilingWindow {
 public:
  CeilingWindow(const CeilingProbes& probes, CpuFeatures level, const AnyExecutor& executor)
      : probes_(probes), level_(level), executor_(executor) {}

  void sample() {
    constexpr int reads_between_repetitions = 2;
    for (int i = 0; i < reads_between_repetitions; ++i) {
      best_.read_gbps = std::max(best_.read_gbps, probes_.sample_read(executor_));
      ++reads_;
    }
    best_.raise_to(probes_.sample_products(level_, executor_));
  }

  /// Samples until every pattern of reads had two turns.
  void finish() {
    while (reads_ < 12) sample();
  }

  const Ceilings& ceilings() const { return best_; }

 private:
  const CeilingProbes& probes_;
  CpuFeatures level_;
  const AnyExecutor& executor_;
  int reads_ = 0;
  Ceilings best_{};
};

}  // namespace polymoe::bench
