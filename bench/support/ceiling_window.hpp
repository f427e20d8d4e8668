// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "bench/support/ceiling_probe.hpp"
#include "bench/support/median.hpp"
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

/// The ceilings while one measurement lasted, sampled between its repetitions: neighbours on a shared host slow both
/// down, and what a kernel is judged by was there when it ran. Medians, as the kernels' times are: reads are those of the
/// way of reading whose median is the best.
class CeilingWindow {
 public:
  CeilingWindow(const CeilingProbes& probes, CpuFeatures level, const AnyExecutor& executor)
      : probes_(probes), level_(level), executor_(executor) {}

  void sample() {
    constexpr int reads_between_repetitions = 2;
    for (int i = 0; i < reads_between_repetitions; ++i) {
      reads_[read_count_++ % read_pattern_count].push_back(probes_.sample_read(executor_));
    }
    const Ceilings products = probes_.sample_products(level_, executor_);
    bf16_.push_back(products.bf16_tflops);
    int8_.push_back(products.int8_tops);
    fp32_.push_back(products.fp32_tflops);
  }

  /// Samples until every way of reading had three turns.
  void finish() {
    while (read_count_ < 3 * read_pattern_count) sample();
  }

  Ceilings ceilings() const {
    Ceilings best{.bf16_tflops = median(bf16_), .int8_tops = median(int8_), .fp32_tflops = median(fp32_)};
    for (const auto& of_pattern : reads_) best.read_gbps = std::max(best.read_gbps, median(of_pattern));
    return best;
  }

 private:
  const CeilingProbes& probes_;
  CpuFeatures level_;
  const AnyExecutor& executor_;
  std::size_t read_count_ = 0;
  std::array<std::vector<double>, read_pattern_count> reads_{};
  std::vector<double> bf16_, int8_, fp32_;
};

}  // namespace polymoe::bench
