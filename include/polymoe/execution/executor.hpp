// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <cstdint>

namespace polymoe {

namespace detail {

struct ArchetypeTask {
  void operator()(std::int64_t index, int worker) const noexcept;
};

}  // namespace detail

/// Runs independent pieces of work. `parallel_for(count, f)` calls f(index, worker) once for every index in [0, count)
/// and returns when all are done; `worker` is in [0, concurrency()), and no two calls that run at the same time have
/// the same worker. f never throws. Nested calls are not made. An engine's own thread pool needs just these two
/// members.
template <class E>
concept Executor = requires(E& executor, std::int64_t count, detail::ArchetypeTask task) {
  { executor.concurrency() } -> std::convertible_to<int>;
  executor.parallel_for(count, task);
};

}  // namespace polymoe
