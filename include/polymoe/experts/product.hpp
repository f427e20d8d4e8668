// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "polymoe/experts/digit_rows.hpp"
#include "polymoe/experts/unpacked_weights.hpp"
#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/digit_products.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/target/isa_namespace.hpp"

// One product: activations of a chunk's rows times a run of panels.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Finished sums of one panel and one or two blocks of rows.
struct PanelSums {
  microkernel::RowBlocks blocks;
  const std::byte* first = nullptr;  ///< [blocks][2][height][16] fp32
  std::int64_t panel = 0;
  std::int64_t first_block = 0;  ///< of the chunk
  std::int64_t first_row = 0;    ///< of the chunk
  std::int64_t rows = 0;         ///< without padding

  /// Calls f(row of the chunk, its block, its row in the block, 16 sums of the panel's first half, 16 of the second).
  template <class F>
  [[gnu::always_inline]] void for_rows(F f) const noexcept {
    const std::byte* tile = first;
    std::int64_t block = first_block;
    for (std::int64_t row = 0; row < rows; ++block, tile += 2 * blocks.sums_tile_bytes()) {
      const std::int64_t of_block = std::min(blocks.height, rows - row);
      const auto* left = reinterpret_cast<const float*>(tile);
      const auto* right = reinterpret_cast<const float*>(tile + blocks.sums_tile_bytes());
      for (std::int64_t i = 0; i < of_block; ++i, ++row, left += 16, right += 16) {
        f(first_row + row, block, i, left, right);
      }
    }
  }
};

/// Called with the finished sums of every panel and every one or two blocks of rows.
struct Finish {
  const void* context = nullptr;
  void (*function)(const void*, const PanelSums&) noexcept = nullptr;
};

struct Product {
  microkernel::RowBlocks blocks;
  const std::byte* activations = nullptr;
  std::int64_t steps = 0;             ///< K steps
  microkernel::WeightStream weights;  ///< the panels, in the order of reading
  microkernel::WeightStream next;     ///< what the worker reads afterwards
  std::int64_t first_panel = 0;
  layout::RecordShape record;
  const float* tails = nullptr;  ///< of the first panel
  std::int64_t tail_floats = 0;
  bool batch_invariant = false;  ///< a row's sums are the same bits beside any other rows
  Finish finish;
};

/// What a worker needs beside its registers.
template <class Microkernel>
struct WorkerMemory {
  std::byte* sums = nullptr;      ///< sums_limit bytes
  std::byte* unpacked = nullptr;  ///< one block of K steps

  /// Between one worker's memory and the next one's: the hardware prefetches what follows, in the next page, too, and
  /// would take the lines away from the core that writes them.
  static constexpr std::int64_t apart = 16 * 1024;

  // The sums of a group of panels live in L2 beside the activations of a K block.
  static constexpr std::int64_t sums_limit = 800 * 1024;
  static constexpr std::int64_t unpacked_bytes = Microkernel::block_steps * microkernel::weight_step_bytes;
};

/// Activations up to this size stay in L2 while panel after panel is multiplied; larger ones are read block by block of
/// K, each of which serves a group of panels.
inline constexpr std::int64_t resident_activation_bytes = 1280 * 1024;

/// The order in which a run of panels is read for `blocks` of rows.
template <class Microkernel, class Codec>
microkernel::WeightStream weight_stream(const layout::PanelMatrix& matrix, const std::byte* expert,
                                        std::int64_t first_panel, std::int64_t panels,
                                        const microkernel::RowBlocks& blocks) noexcept {
  constexpr std::int64_t steps_of_record = Codec::record_k / microkernel::step_k<typename Microkernel::Element>;
  const bool one_call = blocks.blocks <= 2;
  const std::int64_t records =
      one_call ? microkernel::stream_block_bytes / matrix.record.bytes : Microkernel::block_steps / steps_of_record;
  const std::int64_t steps = matrix.depth / microkernel::step_k<typename Microkernel::Element>;
  const bool resident = blocks.bytes(steps) <= resident_activation_bytes;
  const std::int64_t group =
      one_call || resident ? 1 : WorkerMemory<Microkernel>::sums_limit / (blocks.sums_bytes() + 64);
  return {.first = matrix.panel(expert, first_panel),
          .panel_bytes = matrix.panel_bytes,
          .block_bytes = std::max<std::int64_t>(records, 1) * matrix.record.bytes,
          .panels = panels,
          .group = std::clamp<std::int64_t>(group, 1, std::max<std::int64_t>(panels, 1))};
}

/// Few rows wait for memory alone. With more of them a prefetch that waits holds up the products behind it, because
/// tile registers are not renamed far ahead: so prefetches are spread out, and the hardware fetches every second line.
constexpr microkernel::PrefetchPlan prefetch_plan(std::int64_t calls) {
  return calls > 1 ? microkernel::PrefetchPlan{.blocks_ahead = 2, .together = 2, .stride = 2}
                   : microkernel::PrefetchPlan{.blocks_ahead = 2, .together = 8, .stride = 1};
}

/// Few rows times weights that are integers, digit by digit. False where that is not possible.
template <class Microkernel, class Codec>
bool multiply_digits(const Product& product, const WorkerMemory<Microkernel>& memory,
                     microkernel::Prefetcher& prefetcher) noexcept {
#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)
  if constexpr (layout::IntegerCodec<Codec>) {
    using Integers = typename Codec::Integers;
    const std::int64_t rows = product.blocks.rows;
    // Finished sums and the digits share the memory for sums.
    constexpr std::int64_t first_digit = 4096;
    if (product.batch_invariant || rows > Integers::most_rows || !Integers::serves(product.record) ||
        first_digit + DigitRows::memory_bytes(rows, product.steps) > WorkerMemory<Microkernel>::sums_limit) {
      return false;
    }
    DigitRows digits(rows, Integers::groups_of_run, memory.sums + first_digit);
    if (!digits.read(product.activations, product.steps)) return false;

    const microkernel::WeightStream& stream = product.weights;
    const std::int64_t records = stream.panel_bytes / product.record.bytes;
    prefetcher.begin(stream, product.next, prefetch_plan(1));
    prefetcher.pace(product.record.bytes, Codec::record_k / layout::run_k);
    for (std::int64_t panel = 0; panel < stream.panels; ++panel) {
      const float* const tail = product.tails + panel * product.tail_floats;
      for (std::int64_t line = 0; line < product.tail_floats; line += 16) __builtin_prefetch(tail + line);
      const auto multiply = [&]<int count>() {
        microkernel::DigitProducts::template multiply<Codec, count>(stream.first + panel * stream.panel_bytes, records,
                                                                    product.record, digits.operand(),
                                                                    reinterpret_cast<float*>(memory.sums), prefetcher);
      };
      switch (rows) {
        case 1: multiply.template operator()<1>(); break;
        case 2: multiply.template operator()<2>(); break;
        case 3: multiply.template operator()<3>(); break;
        default: multiply.template operator()<4>(); break;
      }
      product.finish.function(product.finish.context,
                              {product.blocks, memory.sums, product.first_panel + panel, 0, 0, rows});
    }
    return true;
  }
#endif
  return false;
}

/// Multiplies, and hands finished sums to product.finish.
template <class Microkernel, class Codec>
void multiply_panels(const Product& product, const WorkerMemory<Microkernel>& memory,
                     microkernel::Prefetcher& prefetcher) noexcept {
  if (multiply_digits<Microkernel, Codec>(product, memory, prefetcher)) return;
  using microkernel::Block;
  using microkernel::StreamCursor;
  constexpr std::int64_t steps_of_record = Codec::record_k / microkernel::step_k<typename Microkernel::Element>;
  const std::int64_t record_bytes = product.record.bytes;
  constexpr std::int64_t shared_tail = layout::panel_columns * (Codec::has_column_scales ? 2 : 1);
  const microkernel::RowBlocks& blocks = product.blocks;
  const std::int64_t at_a_time = blocks.blocks_at_a_time();
  const std::int64_t calls = blocks.blocks / at_a_time;
  const std::int64_t call_sums_bytes = 2 * at_a_time * blocks.sums_tile_bytes();

  microkernel::WeightStream order = product.weights;
  prefetcher.begin(order, product.next, prefetch_plan(calls));
  prefetcher.pace(order.block_bytes,
                  calls * (order.block_bytes / record_bytes) * steps_of_record * Microkernel::prefetches_of_step);
  // Sums of few rows never leave the registers where the weights need no unpacking, or are unpacked as they are read.
  using Unpacked = UnpackedWeights<Codec, Microkernel::block_steps>;
  constexpr bool unpacks_as_it_reads = !Codec::is_direct && requires(const Block& block, Unpacked weights) {
    Microkernel::template multiply<false>(block, weights, prefetcher);
  };
  const bool whole_panels = calls == 1 && (Codec::is_direct || unpacks_as_it_reads);
  if (whole_panels) order.block_bytes = order.panel_bytes;

  const std::int64_t records_at_once = Codec::is_direct || whole_panels
                                           ? order.block_bytes / record_bytes
                                           : std::max<std::int64_t>(Microkernel::block_steps / steps_of_record, 1);
  for (StreamCursor cursor(order); !cursor.at_end(); cursor.next()) {
    // A line off multiples of 4 KiB: sums must not alias the weights' loads.
    std::byte* const panel_sums = memory.sums + cursor.panel_in_group() * (blocks.sums_bytes() + 64);
    if (cursor.block() == 0) {
      for (std::int64_t line = 0; line < product.tail_floats; line += 16) {
        __builtin_prefetch(product.tails + cursor.panel() * product.tail_floats + line);
      }
    }
    std::int64_t step = cursor.block() * (order.block_bytes / record_bytes) * steps_of_record;
    // Where activations are too many to stay in L2, those of the next block of K come while this one is multiplied, each
    // call and panel fetching a part.
    const std::int64_t later_step =
        cursor.in_last_block() ? 0 : step + order.block_bytes / record_bytes * steps_of_record;
    const std::int64_t later_bytes = (blocks.next_block(later_step, product.steps) / order.group + 63) / 64 * 64;
    const std::int64_t later_offset =
        blocks.block_offset(0, later_step, product.steps) + cursor.panel_in_group() * blocks.blocks * later_bytes;
    const std::byte* packed = cursor.address();
    for (std::int64_t records = cursor.bytes() / record_bytes; records > 0;) {
      const std::int64_t now = std::min(records, records_at_once);
      const std::byte* weights = packed;
      const float* const tail = product.tails + cursor.panel() * product.tail_floats + shared_tail;
      if (!Codec::is_direct && !whole_panels) {
        Codec::unpack(packed, now, product.record, tail, memory.unpacked);
        weights = memory.unpacked;
      }
      records -= now;
      packed += now * record_bytes;
      const bool is_last = cursor.in_last_block() && records == 0;
      for (std::int64_t call = 0; call < calls; ++call) {
        Block block;
        block.activations = product.activations + blocks.block_offset(call * at_a_time, step, product.steps);
        block.next_rows = at_a_time == 2 ? blocks.next_block(step, product.steps) : 0;
        block.height = blocks.height;
        block.weights = weights;
        block.steps = now * steps_of_record;
        block.weights_stay = calls > 1;
        block.sums = panel_sums + call * call_sums_bytes;
        block.next_sums = step > 0 && call + 1 < calls ? block.sums + call_sums_bytes : nullptr;
        if (order.group > 1) {
          block.later_activations = product.activations + later_offset + call * at_a_time * later_bytes;
          block.later_bytes = at_a_time * later_bytes;
        }
        if (unpacks_as_it_reads && whole_panels) {
          if constexpr (unpacks_as_it_reads) {
            Microkernel::template multiply<false>(block, Unpacked(weights, now, product.record, tail, memory.unpacked),
                                                  prefetcher);
          }
        } else if (step == 0) {
          Microkernel::template multiply<false>(block, prefetcher);
        } else {
          Microkernel::template multiply<true>(block, prefetcher);
        }
        if (is_last) {
          const std::int64_t first_block = call * at_a_time;
          const std::int64_t first_row = first_block * blocks.height;
          product.finish.function(product.finish.context,
                                  {blocks, block.sums, product.first_panel + cursor.panel(), first_block, first_row,
                                   std::min(blocks.rows - first_row, at_a_time * blocks.height)});
        }
      }
      step += now * steps_of_record;
    }
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
