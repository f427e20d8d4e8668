// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if __has_include(<oneapi/tbb/parallel_for.h>)

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>

#include <cstdint>

namespace polymoe {

/// oneTBB tasks in an arena of `threads` slots; link with TBB::tbb.
class TbbExecutor {
 public:
  explicit TbbExecutor(int threads = oneapi::tbb::this_task_arena::max_concurrency())
      : arena_(threads < 1 ? 1 : threads) {
    arena_.initialize();
  }

  int concurrency() const noexcept { return arena_.max_concurrency(); }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) {
    arena_.execute([&] {
      oneapi::tbb::parallel_for(
          oneapi::tbb::blocked_range<std::int64_t>(0, count, 1),
          [&f](const oneapi::tbb::blocked_range<std::int64_t>& range) {
            const int worker = oneapi::tbb::this_task_arena::current_thread_index();
            for (std::int64_t index = range.begin(); index != range.end(); ++index) f(index, worker);
          },
          oneapi::tbb::simple_partitioner{});
    });
  }

 private:
  oneapi::tbb::task_arena arena_;
};

}  // namespace polymoe

#endif
