// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(_OPENMP)

#include <omp.h>

#include <atomic>
#include <cstdint>

namespace polymoe {

/// OpenMP threads, which take the next index when they are free: a slow core delays one piece of work, not its share.
class OpenMpExecutor {
 public:
  explicit OpenMpExecutor(int threads = omp_get_max_threads()) noexcept : threads_(threads < 1 ? 1 : threads) {}

  int concurrency() const noexcept { return threads_; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    if (threads_ == 1 || count <= 1) {
      for (std::int64_t index = 0; index < count; ++index) f(index, 0);
      return;
    }
    std::atomic<std::int64_t> next{0};
#pragma omp parallel num_threads(threads_)
    {
      const int worker = omp_get_thread_num();
      for (std::int64_t index = next.fetch_add(1, std::memory_order_relaxed); index < count;
           index = next.fetch_add(1, std::memory_order_relaxed)) {
        f(index, worker);
      }
    }
  }

 private:
  int threads_;
};

}  // namespace polymoe

#endif
