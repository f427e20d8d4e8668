// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

/// Weights of a call, K step after K step, where they stand in memory as they are multiplied.
class ReadyWeights {
 public:
  explicit ReadyWeights(const std::byte* first) noexcept : at_(first) {}

  [[gnu::always_inline]] const std::byte* next() noexcept {
    const std::byte* const step = at_;
    at_ += weight_step_bytes;
    return step;
  }

 private:
  const std::byte* at_;
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel
