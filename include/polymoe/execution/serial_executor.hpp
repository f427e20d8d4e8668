// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

namespace polymoe {

/// The calling thread does everything, in order.
struct SerialExecutor {
  static constexpr int concurrency() noexcept { return 1; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    for (std::int64_t index = 0; index < count; ++index) f(index, 0);
  }
};

}  // namespace polymoe
