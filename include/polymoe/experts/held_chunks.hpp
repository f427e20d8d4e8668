// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/experts/memory.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// A worker's chunks of which only the second product is missing, in the order in which they came; each has a place for
/// what that product reads.
class HeldChunks {
 public:
  struct Held {
    std::int64_t chunk = 0;
    ChunkArrays at{};
  };

  /// 0 < places <= most_held.
  explicit HeldChunks(std::int64_t places) noexcept : places_(places) {}

  bool is_empty() const noexcept { return count_ == 0; }
  bool is_full() const noexcept { return count_ == places_; }

  /// The place of the chunk that is pushed next; not when full.
  std::int64_t next_place() const noexcept { return (first_ + count_) % places_; }
  void push(const Held& held) noexcept {
    held_[next_place()] = held;
    ++count_;
  }

  const Held& oldest() const noexcept { return held_[first_]; }
  void pop() noexcept {
    --count_;
    // As few places as will do: they stay in the cache.
    first_ = count_ == 0 ? 0 : (first_ + 1) % places_;
  }

 private:
  Held held_[most_held];
  std::int64_t places_;
  std::int64_t first_ = 0;
  std::int64_t count_ = 0;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
