// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "polymoe/experts/digit_rows.hpp"
#include "polymoe/experts/product.hpp"
#include "polymoe/experts/unpacked_weights.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/digit_products.hpp"
#include "polymoe/microkernel/number_products.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// The ways of a product: few rows digit by digit, up to 32 rows panel by panel (or record by record, whose scales multiply
// sums), more rows block by block of K.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Few rows wait for memory alone. With more of them a prefetch that waits holds up the products behind it, because
/// tile registers are not renamed far ahead: so prefetches are spread out, and the hardware fetches every second line.
inline constexpr microkernel::PrefetchPlan few_rows_plan{.blocks_ahead = 2, .together = 8, .stride = 1};
inline constexpr microkernel::PrefetchPlan many_rows_plan{.blocks_ahead = 2, .together = 2, .stride = 2};

inline void prefetch_tail(const Product& product, std::int64_t panel) noexcept {
  const float* const tail = product.tails + panel * product.tail_floats;
  for (std::int64_t line = 0; line < product.tail_floats; line += 16) __builtin_prefetch(tail + line);
}

/// Panel by panel, all rows at once: multiply(panel, its records) makes memory.sums.
template <class Codec, class Microkernel, class Multiply>
void multiply_whole_panels(const Product& product, const WorkerMemory<Microkernel>& memory,
                           microkernel::Prefetcher& prefetcher, std::int64_t prefetches_of_record,
                           Multiply multiply) noexcept {
  const microkernel::WeightStream& stream = product.weights;
  prefetcher.begin(stream, product.next, few_rows_plan);
  prefetcher.pace(product.record.bytes, prefetches_of_record);
  for (std::int64_t panel = 0; panel < stream.panels; ++panel) {
    prefetch_tail(product, panel);
    multiply(panel, stream.first + panel * stream.panel_bytes);
    product.finish.function(product.finish.context, {product.blocks, memory.sums, product.first_panel + panel});
  }
}

/// Calls f with the number of rows, up to `most`, as a constant.
template <int most, class F>
void with_rows(std::int64_t rows, F f) noexcept {
  if constexpr (most > 1) {
    if (rows < most) return with_rows<most - 1>(rows, f);
  }
  f(std::integral_constant<int, most>());
}

/// Few rows times weights that are integers, digit by digit. False where that is not possible, or not the fastest way, and
/// for rows that digits would round to fewer bits than the caller's numbers have.
template <class Microkernel, class Codec>
bool multiply_digits([[maybe_unused]] const Product& product, [[maybe_unused]] const WorkerMemory<Microkernel>& memory,
                     [[maybe_unused]] microkernel::Prefetcher& prefetcher) noexcept {
#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)
  if constexpr (layout::IntegerCodec<Codec>) {
    using Element = typename Microkernel::Element;
    using Integers = typename Codec::Integers;
    static_assert(Integers::most_rows <= DigitRows<Element>::most_rows);
    const std::int64_t rows = product.blocks.rows;
    const std::int64_t runs = product.steps * microkernel::step_k<Element> / layout::run_k;
    // Finished sums and the digits share the memory for sums.
    constexpr std::int64_t first_digit = 4096;
    if (product.batch_invariant || product.comes_in_fp32 || rows > Integers::most_rows ||
        !Integers::serves(product.record) ||
        first_digit + DigitRows<Element>::memory_bytes(rows, runs) > WorkerMemory<Microkernel>::sums_limit) {
      return false;
    }
    DigitRows<Element> digits(rows, Integers::groups_of_run, memory.sums + first_digit);
    if (!digits.read(product.activations, runs)) return false;
    const std::int64_t records = product.weights.panel_bytes / product.record.bytes;
    auto* const sums = reinterpret_cast<float*>(memory.sums);
    with_rows<Integers::most_rows>(rows, [&](auto count) {
      multiply_whole_panels<Codec>(product, memory, prefetcher, Codec::record_k / layout::run_k,
                                   [&](std::int64_t, const std::byte* panel) {
                                     microkernel::DigitProducts::template multiply<Codec, count>(
                                         panel, records, product.record, digits.operand(), sums, prefetcher);
                                   });
    });
    return true;
  }
#endif
  return false;
}

/// Few rows of fp32 times weights that become numbers in registers. False where other ways are faster, or where rows
/// must have the bits that they have beside more rows: scales multiply sums here, and weights there.
template <class Microkernel, class Codec>
bool multiply_numbers([[maybe_unused]] const Product& product, [[maybe_unused]] const WorkerMemory<Microkernel>& memory,
                      [[maybe_unused]] microkernel::Prefetcher& prefetcher) noexcept {
  if constexpr (std::is_same_v<typename Microkernel::Element, float>) {
    using V = typename Microkernel::Vector;
    static_assert(layout::NumbersCodec<Codec, V>);
    using Numbers = typename Codec::template Numbers<V>;
    using Products = microkernel::NumberProducts<V>;
    constexpr bool is_invariant = !Numbers::has_scales && Numbers::unit == 1.0F;
    const std::int64_t rows = product.blocks.rows;
    if (rows > Products::most_rows || !Numbers::serves(product.record) || (product.batch_invariant && !is_invariant)) {
      return false;
    }
    const std::int64_t records = product.weights.panel_bytes / product.record.bytes;
    auto* const sums = reinterpret_cast<float*>(memory.sums);
    with_rows<Products::most_rows>(rows, [&](auto count) {
      multiply_whole_panels<Codec>(product, memory, prefetcher, steps_of_record<Microkernel, Codec>,
                                   [&](std::int64_t, const std::byte* panel) {
                                     Products::template multiply<Codec, count>(panel, records, product.record,
                                                                               product.activations, sums, prefetcher);
                                   });
    });
    return true;
  }
  return false;
}

/// Adds sums of up to 32 rows, [blocks][2][height][16], times the scales of 32 columns to `total`, or begins it.
template <class V>
void add_scaled(const microkernel::RowBlocks& blocks, const std::byte* sums, const float* scales, bool begins,
                float* total) noexcept {
  constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  const auto* from = reinterpret_cast<const float*>(sums);
  for (std::int64_t tile = 0; tile < 2 * blocks.blocks; ++tile) {
    for (std::int64_t row = 0; row < blocks.height; ++row) {
      for (std::int64_t column = 0; column < microkernel::tile_columns;
           column += width, from += width, total += width) {
        const V scale = vector::load<V>(scales + tile % 2 * microkernel::tile_columns + column);
        const V value = vector::load<V>(from) * scale;
        vector::store(total, begins ? value : vector::load<V>(total) + value);
      }
    }
  }
}

/// What a microkernel multiplies in one call: all K of up to 32 rows.
inline microkernel::Block whole_block(const Product& product, std::byte* sums) noexcept {
  microkernel::Block block;
  block.activations = product.activations;
  block.next_rows = product.blocks.blocks == 2 ? product.blocks.next_block(0, product.steps) : 0;
  block.height = product.blocks.height;
  block.steps = product.steps;
  block.sums = sums;
  return block;
}

/// Whether a microkernel takes weights that are unpacked as it reads them.
template <class Microkernel, class Weights>
concept UnpacksAsItReads = requires(const microkernel::Block& block, Weights& weights,
                                    microkernel::Prefetcher& prefetcher) {
  Microkernel::template multiply<false>(block, weights, prefetcher);
};

/// Up to 32 rows times weights of records that have one set of scales each, which multiply the records' sums. False
/// where that is not possible.
template <class Microkernel, class Codec>
bool multiply_unscaled([[maybe_unused]] const Product& product,
                       [[maybe_unused]] const WorkerMemory<Microkernel>& memory,
                       [[maybe_unused]] microkernel::Prefetcher& prefetcher) noexcept {
  if constexpr (layout::RecordScaledCodec<Codec>) {
    using V = typename Microkernel::Vector;
    using Unpacked = UnpackedWeights<UnscaledRuns<Codec>, Microkernel::block_steps>;
    if constexpr (UnpacksAsItReads<Microkernel, Unpacked>) {
      if (product.batch_invariant || !Codec::scales_records(product.record)) return false;
      constexpr std::int64_t steps = steps_of_record<Microkernel, Codec>;
      const microkernel::RowBlocks& blocks = product.blocks;
      microkernel::Block block = whole_block(product, memory.sums + blocks.sums_bytes());
      block.steps = steps;
      multiply_whole_panels<Codec>(
          product, memory, prefetcher, steps * Microkernel::prefetches_of_step,
          [&](std::int64_t, const std::byte* packed) {
            Unpacked weights({packed, product.record}, product.steps, memory.unpacked);
            for (std::int64_t step = 0; step < product.steps; step += steps, packed += product.record.bytes) {
              block.activations = product.activations + blocks.block_offset(0, step, product.steps);
              Microkernel::template multiply<false>(block, weights, prefetcher);
              alignas(64) float scales[layout::panel_columns];
              Codec::record_scales(packed, product.record, scales);
              add_scaled<V>(blocks, block.sums, scales, step == 0, reinterpret_cast<float*>(memory.sums));
            }
          });
      return true;
    }
  }
  return false;
}

/// Up to 32 rows, whose sums never leave the registers, times weights that need no unpacking or are unpacked as they are
/// read. False where the microkernel cannot do the latter.
template <class Microkernel, class Codec>
bool multiply_in_one_call([[maybe_unused]] const Product& product,
                          [[maybe_unused]] const WorkerMemory<Microkernel>& memory,
                          [[maybe_unused]] microkernel::Prefetcher& prefetcher) noexcept {
  using Unpacked = UnpackedWeights<Records<Codec>, Microkernel::block_steps>;
  if constexpr (Codec::is_direct || UnpacksAsItReads<Microkernel, Unpacked>) {
    microkernel::Block block = whole_block(product, memory.sums);
    multiply_whole_panels<Codec>(
        product, memory, prefetcher, steps_of_record<Microkernel, Codec> * Microkernel::prefetches_of_step,
        [&](std::int64_t panel, const std::byte* packed) {
          if constexpr (Codec::is_direct) {
            block.weights = packed;
            Microkernel::template multiply<false>(block, prefetcher);
          } else {
            const float* const tail = product.tails + panel * product.tail_floats + layout::own_tail_floats<Codec>;
            Unpacked weights({packed, product.record, tail}, product.steps, memory.unpacked);
            Microkernel::template multiply<false>(block, weights, prefetcher);
          }
        });
    return true;
  }
  return false;
}

/// Any number of rows, block by block of K.
template <class Microkernel, class Codec>
void multiply_blocks(const Product& product, const WorkerMemory<Microkernel>& memory,
                     microkernel::Prefetcher& prefetcher) noexcept {
  using microkernel::Block;
  using microkernel::StreamCursor;
  constexpr std::int64_t steps_of_record = experts::steps_of_record<Microkernel, Codec>;
  // The arithmetic of unpacking hides behind products where it stands among them.
  using Kept = UnpackedWeights<Records<Codec>, Microkernel::block_steps, true>;
  constexpr bool unpacks_in_first_call =
      !Codec::is_direct && !layout::UnpacksApart<Codec> && UnpacksAsItReads<Microkernel, Kept>;
  const std::int64_t record_bytes = product.record.bytes;
  const microkernel::RowBlocks& blocks = product.blocks;
  const microkernel::WeightStream& order = product.weights;
  const std::int64_t at_a_time = blocks.blocks_at_a_time();
  const std::int64_t calls = blocks.blocks / at_a_time;
  const std::int64_t call_sums_bytes = 2 * at_a_time * blocks.sums_tile_bytes();
  const std::int64_t steps_of_block = order.block_bytes / record_bytes * steps_of_record;
  const std::int64_t records_at_once = Codec::is_direct
                                           ? order.block_bytes / record_bytes
                                           : std::max<std::int64_t>(Microkernel::block_steps / steps_of_record, 1);

  // Sums of the panels of a group, or of those that are finished at once.
  const std::int64_t slots = order.group > 1 ? order.group : product.finish.panels;
  const bool streams_activations = !activations_stay(blocks, product.steps);

  prefetcher.begin(order, product.next, calls > 1 ? many_rows_plan : few_rows_plan);
  prefetcher.pace(order.block_bytes, calls * steps_of_block * Microkernel::prefetches_of_step);
  for (StreamCursor cursor(order); !cursor.at_end(); cursor.next()) {
    const std::int64_t slot = cursor.panel() % slots;
    std::byte* const panel_sums = memory.sums + slot * sums_apart(blocks);
    if (cursor.block() == 0) prefetch_tail(product, cursor.panel());
    std::int64_t step = cursor.block() * steps_of_block;
    // Where activations are too many to stay in L2, those of the next block of K come while this one is multiplied, each
    // call and panel fetching a part.
    const std::byte* later = nullptr;
    std::int64_t later_bytes = 0;
    if (streams_activations) {
      const std::int64_t later_step = cursor.in_last_block() ? 0 : step + steps_of_block;
      later_bytes = (blocks.next_block(later_step, product.steps) / order.group + 63) / 64 * 64;
      later = product.activations + blocks.block_offset(0, later_step, product.steps) +
              cursor.panel_in_group() * blocks.blocks * later_bytes;
    }
    const std::byte* packed = cursor.address();
    for (std::int64_t records = cursor.bytes() / record_bytes; records > 0;) {
      const std::int64_t now = std::min(records, records_at_once);
      [[maybe_unused]] const float* const tail =
          product.tails + cursor.panel() * product.tail_floats + layout::own_tail_floats<Codec>;
      if constexpr (!Codec::is_direct && !unpacks_in_first_call) {
        Codec::unpack(packed, now, product.record, tail, memory.unpacked);
      }
      for (std::int64_t call = 0; call < calls; ++call) {
        Block block;
        block.activations = product.activations + blocks.block_offset(call * at_a_time, step, product.steps);
        block.next_rows = at_a_time == 2 ? blocks.next_block(step, product.steps) : 0;
        block.height = blocks.height;
        block.weights = Codec::is_direct ? packed : memory.unpacked;
        block.steps = now * steps_of_record;
        block.weights_stay = calls > 1;
        block.sums = panel_sums + call * call_sums_bytes;
        block.next_sums = step > 0 && call + 1 < calls ? block.sums + call_sums_bytes : nullptr;
        block.later_activations = later == nullptr ? nullptr : later + call * at_a_time * later_bytes;
        block.later_bytes = at_a_time * later_bytes;
        const auto multiply = [&](auto&... weights) {
          if (step == 0) {
            Microkernel::template multiply<false>(block, weights..., prefetcher);
          } else {
            Microkernel::template multiply<true>(block, weights..., prefetcher);
          }
        };
        if constexpr (unpacks_in_first_call) {
          if (call == 0) {
            Kept weights({packed, product.record, tail}, block.steps, memory.unpacked);
            multiply(weights);
            continue;
          }
        }
        multiply();
      }
      records -= now;
      packed += now * record_bytes;
      step += now * steps_of_record;
    }
    // Not call by call: sums that were just stored are still on their way, and what a finish reads and writes would
    // hold up the loads of the next call.
    const std::int64_t before = slot % product.finish.panels;
    const bool ends = before + 1 == product.finish.panels || slot + 1 == slots || cursor.in_last_panel();
    if (!cursor.in_last_block() || !ends) continue;
    product.finish.function(product.finish.context, {blocks, panel_sums - before * sums_apart(blocks),
                                                     product.first_panel + cursor.panel() - before, before + 1});
  }
}

/// Multiplies, and hands finished sums to product.finish.
template <class Microkernel, class Codec>
void multiply_panels(const Product& product, const WorkerMemory<Microkernel>& memory,
                     microkernel::Prefetcher& prefetcher) noexcept {
  if (product.blocks.in_one_call()) {
    if (multiply_digits<Microkernel, Codec>(product, memory, prefetcher)) return;
    if (multiply_numbers<Microkernel, Codec>(product, memory, prefetcher)) return;
    if (multiply_unscaled<Microkernel, Codec>(product, memory, prefetcher)) return;
    if (multiply_in_one_call<Microkernel, Codec>(product, memory, prefetcher)) return;
  }
  multiply_blocks<Microkernel, Codec>(product, memory, prefetcher);
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
