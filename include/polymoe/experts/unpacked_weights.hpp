// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Weights of a call, K step after K step, unpacked one record ahead of the products, so that both go on side by side.
template <layout::Codec Codec, std::int64_t memory_steps>
class UnpackedWeights {
 public:
  static constexpr std::int64_t steps_of_record = Codec::record_k / microkernel::step_k<typename Codec::Element>;

  /// `records` of a panel, with the tail that they share; `memory` has room for memory_steps steps.
  UnpackedWeights(const std::byte* packed, std::int64_t records, const layout::RecordShape& shape, const float* tail,
                  std::byte* memory) noexcept
      : packed_(packed), records_(records), shape_(shape), tail_(tail), memory_(memory) {
    unpack();
  }

  [[gnu::always_inline]] const std::byte* next() noexcept {
    if (left_ == 0) {
      at_ = memory_ + slot_ * record_bytes;
      slot_ = (slot_ + 1) % slots;
      left_ = steps_of_record;
      if (records_ > 0) unpack();
    }
    const std::byte* const step = at_;
    at_ += microkernel::weight_step_bytes;
    --left_;
    return step;
  }

 private:
  // More than two where records are small: a record that was just written is still on its way to the cache.
  static constexpr std::int64_t slots = std::clamp<std::int64_t>(memory_steps / steps_of_record, 2, 4);
  static constexpr std::int64_t record_bytes = steps_of_record * microkernel::weight_step_bytes;
  static_assert(slots * steps_of_record <= memory_steps);

  void unpack() noexcept {
    Codec::unpack(packed_, 1, shape_, tail_, memory_ + slot_ * record_bytes);
    packed_ += shape_.bytes;
    --records_;
  }

  const std::byte* packed_;
  std::int64_t records_;  ///< not yet unpacked
  const layout::RecordShape& shape_;
  const float* tail_;
  std::byte* memory_;
  const std::byte* at_ = nullptr;
  std::int64_t left_ = 0;  ///< steps of the record at_
  std::int64_t slot_ = 0;  ///< of the record after at_
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
