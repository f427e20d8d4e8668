// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "polymoe/execution/openmp_executor.hpp"
#include "polymoe/execution/serial_executor.hpp"
#if defined(POLYMOE_WITH_TBB)
#include "polymoe/execution/tbb_executor.hpp"
#endif

namespace polymoe::tools {

/// Any executor behind one type, so that a tool instantiates its kernels once. An indirect call for each piece of work,
/// of which there are few.
class AnyExecutor {
 public:
  /// `executor` must outlive this.
  template <class E>
  requires(!std::is_same_v<std::remove_const_t<E>, AnyExecutor>) explicit AnyExecutor(E& executor)
      : executor_(&executor),
        concurrency_(executor.concurrency()),
        run_([](void* self, std::int64_t count, Task task) { static_cast<E*>(self)->parallel_for(count, task); }) {}

  int concurrency() const noexcept { return concurrency_; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    run_(executor_, count, Task{&f, [](void* body, std::int64_t index, int worker) {
                                  (*static_cast<std::remove_reference_t<F>*>(body))(index, worker);
                                }});
  }

 private:
  struct Task {
    void* body;
    void (*call)(void* body, std::int64_t index, int worker);
    void operator()(std::int64_t index, int worker) const { call(body, index, worker); }
  };

  void* executor_;
  int concurrency_;
  void (*run_)(void* self, std::int64_t count, Task task);
};

/// The executors that this build has, by their names on a command line.
inline std::vector<std::string_view> executor_names() {
  return {
    "serial",
#if defined(_OPENMP)
        "openmp",
#endif
#if defined(POLYMOE_WITH_TBB)
        "tbb",
#endif
  };
}

/// Calls f(executor) with the executor of that name. `threads` 0: as many as the machine has. False where this build
/// has none of that name.
template <class F>
bool with_executor(std::string_view name, int threads, F&& f) {
  if (name == "serial") {
    SerialExecutor executor;
    f(AnyExecutor(executor));
    return true;
  }
#if defined(_OPENMP)
  if (name == "openmp") {
    OpenMpExecutor executor = threads > 0 ? OpenMpExecutor(threads) : OpenMpExecutor();
    f(AnyExecutor(executor));
    return true;
  }
#endif
#if defined(POLYMOE_WITH_TBB)
  if (name == "tbb") {
    TbbExecutor executor = threads > 0 ? TbbExecutor(threads) : TbbExecutor();
    f(AnyExecutor(executor));
    return true;
  }
#endif
  return false;
}

}  // namespace polymoe::tools
