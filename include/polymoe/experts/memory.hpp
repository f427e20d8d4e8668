// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/experts/product.hpp"
#include "polymoe/experts/schedule.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/routing/route.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Where a call keeps what is between its input and its output.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Bytes up to which every (token, expert) pair has a row of its own for its result.
inline constexpr std::int64_t slots_limit = std::int64_t{32} << 20;
/// Bytes for each worker's intermediates of chunks whose second products are to come, and how many are kept at most.
inline constexpr std::int64_t held_limit = std::int64_t{2} << 20;
inline constexpr std::int64_t most_held = 4;
/// Bytes for activations of chunks that several workers share.
inline constexpr std::int64_t arenas_limit = std::int64_t{12} << 20;

/// A chunk's rows between its products: one array behind the other.
struct ChunkArrays {
  std::byte* activations;    ///< operand of the first product
  std::byte* intermediate;   ///< operand of the second product
  float* wide;               ///< [wide_columns / 16, wide_stride] of fp32 that become the intermediate
  std::int64_t wide_stride;  ///< floats
  float* activation_scales;  ///< one for each row, where operands are int8 codes
  float* intermediate_scales;
};

/// What the rows of a layer take in memory.
template <class Microkernel, QuantKey activation_key>
struct RowSizes {
  using Element = typename Microkernel::Element;
  /// Operands are made of numbers that are quantized first: the intermediate is in fp32 before.
  static constexpr bool quantizes = !activation_key.is_none();
  /// Operands are codes, whose scales multiply the sums of a row.
  static constexpr bool has_row_scales = std::is_same_v<Element, std::int8_t>;
  /// Scales are of all rows: a call finds the greatest magnitude before it quantizes.
  static constexpr bool measures = activation_key == quant_key::fp8_dynamic_tensor;

  std::int64_t first_steps;           ///< K steps of the first product
  std::int64_t second_steps;          ///< K steps of the second product
  std::int64_t intermediate_columns;  ///< that the first product writes: those of whole panels
  std::int64_t slots;                 ///< results of a row of hidden_states
  /// Floats from one row of results to the next: whole panels, and one panel more, so that the rows of a panel do not
  /// all fall into the same sets of a cache where H is a power of two.
  std::int64_t results_stride;
  /// Rows are quantized before they are gathered, because several experts take each.
  bool shares_codes;

  RowSizes(const Layer& layer, const layout::ExpertPanels& expert, ExpertsForm form) noexcept
      : first_steps(expert.w13.depth / microkernel::step_k<Element>),
        second_steps(expert.w2.depth / microkernel::step_k<Element>),
        intermediate_columns(expert.w13.panels * layout::panel_columns / (layer.shape.gated ? 2 : 1)),
        slots(form == ExpertsForm::batched ? 1 : layer.shape.slots_per_token()),
        results_stride((expert.w2.panels + 1) * layout::panel_columns),
        shares_codes(has_row_scales && slots > 1 && !layer.apply_router_weight_on_input) {}

  /// Every pair's result has a row of its own. Otherwise a row's results are added as they come.
  bool fills_slots(std::int64_t rows) const noexcept { return slots > 1 && slots_bytes(rows) <= slots_limit; }
  std::int64_t slots_bytes(std::int64_t rows) const noexcept {
    return rows * slots * results_stride * std::int64_t{sizeof(float)};
  }
  std::int64_t results_bytes(std::int64_t rows) const noexcept {
    if (slots == 1) return 0;
    const std::int64_t of_row = slots_bytes(1);
    const std::int64_t as_slots = std::min(rows, slots_limit / of_row) * of_row;
    return fills_slots(rows) ? as_slots : std::max(as_slots, slots_bytes(rows) / slots);
  }

  /// Room for the arrays of a chunk whose rows in whole blocks are up to `rows`.
  std::int64_t arena_bytes(std::int64_t rows) const noexcept {
    const std::int64_t bytes = rows * ((first_steps + second_steps) * microkernel::row_step_bytes +
                                       wide_columns() * std::int64_t{sizeof(float)}) +
                               wide_columns() * std::int64_t{sizeof(float)} +
                               (has_row_scales ? 2 * rows * std::int64_t{sizeof(float)} + 64 : 0);
    // Rows of tiles that straddle lines take twice as long to load.
    return (bytes + 63) / 64 * 64;
  }

  /// Lets what the second product reads stand elsewhere.
  void move_second(ChunkArrays& arrays, std::byte* place, const microkernel::RowBlocks& blocks) const noexcept {
    arrays.intermediate = place;
    arrays.intermediate_scales = reinterpret_cast<float*>(place + blocks.bytes(second_steps));
  }

  /// Room for what the second product reads of such a chunk.
  std::int64_t held_bytes(std::int64_t rows) const noexcept {
    const std::int64_t bytes =
        rows * (second_steps * microkernel::row_step_bytes + (has_row_scales ? std::int64_t{sizeof(float)} : 0));
    return (bytes + 63) / 64 * 64;
  }

  ChunkArrays arrays(std::byte* arena, const microkernel::RowBlocks& blocks) const noexcept {
    ChunkArrays made{};
    made.activations = arena;
    made.intermediate = made.activations + blocks.bytes(first_steps);
    made.wide = reinterpret_cast<float*>(made.intermediate + blocks.bytes(second_steps));
    // A row more than there are, so that those of a row do not all fall into the same sets of a cache.
    made.wide_stride = (blocks.padded_rows() + 1) * microkernel::tile_columns;
    made.activation_scales = made.wide + wide_columns() / microkernel::tile_columns * made.wide_stride;
    made.intermediate_scales = made.activation_scales + blocks.padded_rows();
    return made;
  }

 private:
  /// Of the intermediate in fp32.
  std::int64_t wide_columns() const noexcept { return quantizes ? intermediate_columns : 0; }
};

/// The pieces of the workspace. Every size grows with the number of tokens, so that a workspace for more tokens serves
/// fewer.
template <class Microkernel, QuantKey activation_key>
class Memory {
  using Sizes = RowSizes<Microkernel, activation_key>;
  using OfWorker = WorkerMemory<Microkernel>;

 public:
  /// Ranges of columns of the second product in which chunks follow each other where they add to the same sums.
  static constexpr std::int64_t chain_length = 16;

  Plan plan;
  Schedule schedule;
  std::atomic<std::int32_t>* chain = nullptr;  ///< [chain_length]: chunks that are done with a range of columns
  float* results = nullptr;                    ///< slots or sums
  std::int32_t arena_count = 0;                ///< arenas of chunks that several workers share
  std::int64_t held_places = 0;                ///< of each worker
  float* worker_maxima = nullptr;              ///< for each worker the greatest magnitude that it met
  std::byte* codes = nullptr;                  ///< of all rows of hidden_states, in whole K steps
  float* code_scales = nullptr;
  float* topk_weights = nullptr;
  std::int32_t* topk_ids = nullptr;

  Memory(WorkspaceCutter& cutter, const LayerShape& shape, ExpertsForm form, const Sizes& sizes, std::int64_t tokens,
         int concurrency) noexcept {
    const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    const std::int64_t slots = tokens * sizes.slots;
    const std::int64_t experts = shape.num_packed_experts();
    const std::int64_t chunks = Plan::chunks_bound(slots, experts);
    plan = Plan(cutter, slots, tokens, experts);
    schedule = Schedule(cutter, chunks);
    chain = cutter.take<std::atomic<std::int32_t>>(size(chain_length));
    results = cutter.take<float>(size(sizes.results_bytes(tokens)) / sizeof(float));

    const std::int64_t chunk_rows = microkernel::padded_rows_bound(std::min(slots, chunk_rows_limit));
    arena_bytes_ = sizes.arena_bytes(chunk_rows);
    held_bytes_ = sizes.held_bytes(chunk_rows);
    all_held_bytes_ = std::min(most_held * held_bytes_, std::max(held_limit, held_bytes_));
    held_places = all_held_bytes_ / held_bytes_;
    own_arenas_ = cutter.take<std::byte>(size(own_stride() * concurrency));
    const std::int64_t shared_bytes = std::min(chunks * arena_bytes_, std::max(arenas_limit, 3 * arena_bytes_));
    arenas_ = cutter.take<std::byte>(size(std::max(shared_bytes, 3 * arena_bytes_)));
    arena_count =
        static_cast<std::int32_t>(std::clamp<std::int64_t>(shared_bytes / arena_bytes_, 3, Schedule::arenas_bound));
    sums_ = cutter.take<std::byte>(size(sums_stride * concurrency));
    unpacked_ = cutter.take<std::byte>(size(unpacked_stride * concurrency));
    if constexpr (Sizes::quantizes && !Sizes::has_row_scales) {
      row_floats_ = std::max(shape.hidden_size, shape.intermediate_size);
      rows_ = cutter.take<float>(size(row_floats_ * concurrency));
    }
    if constexpr (Sizes::measures) worker_maxima = cutter.take<float>(size(concurrency));
    if (sizes.shares_codes) {
      codes = cutter.take<std::byte>(size(tokens * sizes.first_steps * microkernel::row_step_bytes));
      code_scales = cutter.take<float>(size(tokens));
    }
    if (form == ExpertsForm::monolithic) {
      topk_weights = cutter.take<float>(size(tokens * shape.top_k));
      topk_ids = cutter.take<std::int32_t>(size(tokens * shape.top_k));
      routing_bytes_ = (static_cast<std::int64_t>(routing::routing_scratch_bytes(shape.num_experts)) + 63) / 64 * 64;
      routing_scratch_ = cutter.take<std::byte>(size(routing_bytes_ * concurrency));
    }
  }

  /// Where the arrays of a chunk are: at the worker's own place where it does all of the chunk.
  std::byte* arena(const Chunk& chunk, std::int64_t worker) const noexcept {
    return chunk.is_whole() ? own_arenas_ + worker * own_stride() : arenas_ + chunk.arena * arena_bytes_;
  }
  /// Places for what a worker's second products read while the worker gathers other rows, held_places of them.
  std::byte* held(std::int64_t worker, std::int64_t place) const noexcept {
    return own_arenas_ + worker * own_stride() + arena_bytes_ + place * held_bytes_;
  }

  OfWorker of_worker(std::int64_t worker) const noexcept {
    return {sums_ + worker * sums_stride, unpacked_ + worker * unpacked_stride};
  }

  /// A row of fp32 that is quantized in place: not to int8, whose rows are quantized as they are read.
  float* row_of_worker(std::int64_t worker) const noexcept requires(Sizes::quantizes && !Sizes::has_row_scales) {
    return rows_ + worker * row_floats_;
  }

  std::byte* routing_scratch(std::int64_t worker) const noexcept { return routing_scratch_ + worker * routing_bytes_; }

 private:
  static constexpr std::int64_t sums_stride = OfWorker::sums_limit + OfWorker::apart;
  static constexpr std::int64_t unpacked_stride = OfWorker::unpacked_bytes + OfWorker::apart;

  std::int64_t own_stride() const noexcept { return arena_bytes_ + all_held_bytes_ + OfWorker::apart; }

  std::byte* own_arenas_ = nullptr;  ///< for each worker
  std::byte* arenas_ = nullptr;      ///< [arena_count]
  std::int64_t arena_bytes_ = 0;
  std::int64_t held_bytes_ = 0;      ///< one place
  std::int64_t all_held_bytes_ = 0;  ///< all places of a worker
  std::byte* sums_ = nullptr;
  std::byte* unpacked_ = nullptr;
  float* rows_ = nullptr;
  std::int64_t row_floats_ = 0;
  std::byte* routing_scratch_ = nullptr;
  std::int64_t routing_bytes_ = 0;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
