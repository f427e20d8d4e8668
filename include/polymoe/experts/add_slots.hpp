// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstdint>

#include "polymoe/config/view.hpp"
#include "polymoe/experts/epilogue.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// finalize where every (token, expert) pair has a row of its own for its result: out[t] = sum of token t's slots.

namespace polymoe::inline POLYMOE_ISA::experts {

/// In which order a token's slots are added. Neither depends on the number of threads.
enum class SlotOrder {
  by_slot,   ///< of j
  by_expert  ///< rising: the bits are those of sums that were kept instead of slots
};

/// The weighted results of all pairs.
struct Slots {
  const Layer& layer;
  MatrixView<const std::int32_t> topk_ids;  ///< [T, k]
  const float* first;                       ///< [T * slots_per_token, stride]
  std::int64_t stride;

  /// The packed expert of a token's slot; -1 where it is of another rank or no expert at all.
  std::int64_t expert(std::int64_t t, std::int64_t j) const noexcept {
    return layer.expert_of_slot(topk_ids.row(t), j);
  }
};

/// Calls f(j) for the token's slots that have an expert.
template <SlotOrder order, class F>
void for_slots(const Slots& slots, std::int64_t t, F f) noexcept {
  const std::int64_t count = slots.layer.shape.slots_per_token();
  if constexpr (order == SlotOrder::by_slot) {
    for (std::int64_t j = 0; j < count; ++j) {
      if (slots.expert(t, j) >= 0) f(j);
    }
  } else {
    // Few slots: looking for the next one each time is as good as sorting.
    std::int64_t done_expert = -1;
    std::int64_t done_slot = count;
    for (;;) {
      std::int64_t next = -1;
      for (std::int64_t j = 0; j < count; ++j) {
        const std::int64_t expert = slots.expert(t, j);
        const bool is_done = expert < done_expert || (expert == done_expert && j <= done_slot);
        if (!is_done && (next < 0 || expert < slots.expert(t, next))) next = j;
      }
      if (next < 0) return;
      f(next);
      done_expert = slots.expert(t, next);
      done_slot = next;
    }
  }
}

/// Adds part `part` of `parts` of all tokens' slots to the output, [T, H] in runs of columns whose sums stay in L1.
template <class V, SlotOrder order>
void add_slots(const Slots& slots, const MutableTokensView& out, std::int64_t part, std::int64_t parts) noexcept {
  constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  constexpr std::int64_t run = 256;
  alignas(64) float sums[run];
  const std::int64_t hidden_size = slots.layer.shape.hidden_size;
  const std::int64_t runs = (hidden_size + run - 1) / run;
  const std::int64_t units = slots.topk_ids.rows * runs;
  for (std::int64_t unit = units * part / parts; unit < units * (part + 1) / parts; ++unit) {
    const std::int64_t t = unit / runs;
    const std::int64_t column = unit % runs * run;
    const std::int64_t count = std::min(run, hidden_size - column);
    const float* const of_token = slots.first + t * slots.layer.shape.slots_per_token() * slots.stride + column;
    bool is_first = true;
    for_slots<order>(slots, t, [&](std::int64_t j) {
      const float* const slot = of_token + j * slots.stride;
      for (std::int64_t i = 0; i < count; i += width) {
        const V value = vector::load<V>(slot + i);
        vector::store(sums + i, is_first ? value : vector::load<V>(sums + i) + value);
      }
      is_first = false;
    });
    if (is_first) std::fill_n(sums, count, 0.0F);
    store_row<V>(out, t, column, sums, count);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
