// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Records of a panel, with the tail that they share, one at a time.
template <layout::Codec Codec>
class Records {
 public:
  static constexpr std::int64_t steps_at_once = Codec::record_k / microkernel::step_k<typename Codec::Element>;

  Records(const std::byte* packed, const layout::RecordShape& shape, const float* tail) noexcept
      : packed_(packed), shape_(shape), tail_(tail) {}

  void unpack(std::byte* out) noexcept {
    Codec::unpack(packed_, 1, shape_, tail_, out);
    packed_ += shape_.bytes;
  }

 private:
  const std::byte* packed_;
  const layout::RecordShape& shape_;
  const float* tail_;
};

/// Weights of records without their scales, a run of 32 K at a time.
template <layout::RecordScaledCodec Codec>
class UnscaledRuns {
 public:
  static constexpr std::int64_t steps_at_once = layout::run_k / microkernel::step_k<typename Codec::Element>;

  UnscaledRuns(const std::byte* packed, const layout::RecordShape& shape) noexcept : packed_(packed), shape_(shape) {}

  void unpack(std::byte* out) noexcept {
    Codec::unpack_numbers(packed_, shape_, run_, out);
    if (++run_ == Codec::record_k / layout::run_k) {
      run_ = 0;
      packed_ += shape_.bytes;
    }
  }

 private:
  const std::byte* packed_;
  const layout::RecordShape& shape_;
  std::int64_t run_ = 0;
};

/// Weights of a call, K step after K step, unpacked a piece ahead of the products, so that both go on side by side.
/// `keeps`: all of them are left in memory, one after the other, for the calls that follow.
template <class Pieces, std::int64_t memory_steps, bool keeps = false>
class UnpackedWeights {
 public:
  /// `memory` has room for memory_steps steps.
  UnpackedWeights(const Pieces& pieces, std::int64_t steps, std::byte* memory) noexcept
      : pieces_(pieces), pieces_left_(steps / Pieces::steps_at_once), memory_(memory) {
    unpack();
  }

  [[gnu::always_inline]] const std::byte* next() noexcept {
    if (left_ == 0) {
      at_ = memory_ + slot_ * piece_bytes;
      slot_ = (slot_ + 1) % slots;
      left_ = Pieces::steps_at_once;
      if (pieces_left_ > 0) unpack();
    }
    const std::byte* const step = at_;
    at_ += microkernel::weight_step_bytes;
    --left_;
    return step;
  }

 private:
  // More than two where pieces are small: a piece that was just written is still on its way to the cache.
  static constexpr std::int64_t slots_bound = memory_steps / Pieces::steps_at_once;
  static constexpr std::int64_t slots = keeps ? slots_bound : std::clamp<std::int64_t>(slots_bound, 2, 4);
  static constexpr std::int64_t piece_bytes = Pieces::steps_at_once * microkernel::weight_step_bytes;
  static_assert(slots * Pieces::steps_at_once <= memory_steps);

  void unpack() noexcept {
    pieces_.unpack(memory_ + slot_ * piece_bytes);
    --pieces_left_;
  }

  Pieces pieces_;
  std::int64_t pieces_left_;  ///< not yet unpacked
  std::byte* memory_;
  const std::byte* at_ = nullptr;
  std::int64_t left_ = 0;  ///< steps of the piece at_
  std::int64_t slot_ = 0;  ///< of the piece after at_
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
