// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>

#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/target/isa_namespace.hpp"

// How a call's work is handed out. All of it is a row of tickets, drawn from one counter by the workers of a single
// parallel_for. A ticket waits for results of earlier tickets only, and those are drawn by workers that run, so no
// executor can deadlock, also one that runs the workers one after the other; and no stage ends with a barrier:
//
//     gather 0, gather 1, first 0, first 1, gather 2, second 0, first 2, gather 3, second 1, ...  reduce
//
// A chunk's second product comes one chunk late, so its waits are over when it is drawn. So does the place for the rows
// that are gathered: the second product that still read it began before the first product that is drawn in between.

namespace polymoe::inline POLYMOE_ISA::experts {

enum class Stage : std::uint8_t {
  whole,     ///< gather, first and second product of a chunk
  gather,    ///< rows of hidden_states -> activations in the microkernel's order
  first,     ///< activations W13^T -> intermediate
  quantize,  ///< intermediate in fp32 -> operand of the second product (mode faithful)
  second,    ///< intermediate W2^T -> slots or sums
  reduce     ///< slots -> output
};

/// A piece of work: part `part` of `parts` of a stage of a chunk.
struct Ticket {
  Stage stage = Stage::reduce;
  std::int64_t chunk = 0;
  std::int64_t part = 0;
  std::int64_t parts = 1;
};

/// What a chunk's products cost one worker, in microseconds; only the ratios and the order of magnitude matter.
struct ChunkCost {
  double first = 0;
  double second = 0;
  std::int64_t first_limit = 1;  ///< more parts than this do not pay
  std::int64_t second_limit = 1;
};

class Schedule {
 public:
  static constexpr std::int64_t arenas_bound = 64;

  Schedule() = default;
  Schedule(WorkspaceCutter& cutter, std::int64_t chunks) noexcept
      : runs_(cutter.take<Run>(static_cast<std::size_t>(4 * chunks + 1))) {}

  /// Cuts the chunks of `plan` into parts and lines up their tickets. `cost(chunk)` is a ChunkCost; arenas for split
  /// chunks are [first_arena, first_arena + arenas), arenas >= 3.
  template <class Cost>
  void build(Plan& plan, Cost cost, int workers, std::int32_t arenas, std::int64_t reduce_parts,
             bool quantizes) noexcept {
    run_count_ = 0;
    total_ = 0;
    cut(plan, cost, workers, arenas);
    const std::int64_t chunks = plan.chunk_count();
    std::int64_t pending = -1;
    std::int64_t gathered = 0;
    const auto gather_up_to = [&](std::int64_t end) {
      for (; gathered < std::min(end, chunks) && !plan.chunk(gathered).is_whole(); ++gathered) {
        push(Stage::gather, gathered, plan.chunk(gathered).gather_parts);
      }
    };
    const auto second_of_pending = [&] {
      if (pending >= 0 && quantizes) push(Stage::quantize, pending, plan.chunk(pending).gather_parts);
      if (pending >= 0) push(Stage::second, pending, plan.chunk(pending).second_parts);
      pending = -1;
    };
    for (std::int64_t c = 0; c < chunks; ++c) {
      if (plan.chunk(c).is_whole()) {
        second_of_pending();
        push(Stage::whole, c, 1);
        gathered = c + 1;
        continue;
      }
      if (pending < 0) gather_up_to(c + 2);
      push(Stage::first, c, plan.chunk(c).first_parts);
      gather_up_to(c + 2);
      second_of_pending();
      pending = c;
    }
    second_of_pending();
    if (reduce_parts > 0) push(Stage::reduce, 0, reduce_parts);
  }

  /// A worker's view of the tickets, which it draws in rising order.
  class Reader {
   public:
    explicit Reader(const Schedule& schedule) noexcept : schedule_(schedule) {}

    /// The ticket of a number below total().
    Ticket at(std::int64_t number) noexcept {
      while (number >= schedule_.runs_[run_].end) ++run_;
      const Run& run = schedule_.runs_[run_];
      return {run.stage, run.chunk, number - run.begin, run.end - run.begin};
    }

   private:
    const Schedule& schedule_;
    std::int64_t run_ = 0;
  };

  std::int64_t total() const noexcept { return total_; }

 private:
  /// Tickets of one stage of one chunk.
  struct Run {
    Stage stage;
    std::int64_t chunk;
    std::int64_t begin;
    std::int64_t end;
  };

  // A part should be long beside what drawing a ticket and finding its operands costs, and short beside the call, whose
  // end the workers reach up to a part's length apart. A chunk that is short enough stays in one piece, so that its
  // activations never leave its worker's cache; the last chunks are cut in any case.
  static constexpr double shortest_part = 15.0;
  static constexpr double parts_of_worker = 64.0;
  static constexpr double chunks_of_worker = 24.0;

  template <class Cost>
  void cut(Plan& plan, Cost cost, int workers, std::int32_t arenas) noexcept {
    double total = 0;
    for (std::int64_t c = 0; c < plan.chunk_count(); ++c) {
      const ChunkCost of_chunk = cost(plan.chunk(c));
      total += of_chunk.first + of_chunk.second;
    }
    const double part = std::max(shortest_part, total / (workers * parts_of_worker));
    const std::int64_t tail = 2 * std::int64_t{workers};
    std::int32_t arena = 0;
    std::int64_t owners[arenas_bound];
    std::fill(owners, owners + arenas_bound, -1);
    for (std::int64_t c = 0; c < plan.chunk_count(); ++c) {
      Chunk& chunk = plan.chunk(c);
      const ChunkCost of_chunk = cost(chunk);
      const double sum = of_chunk.first + of_chunk.second;
      const bool is_tail = c + tail >= plan.chunk_count();
      const bool is_short = sum <= part || (sum * workers * chunks_of_worker <= total && !is_tail);
      if (workers == 1 || is_short) continue;
      const auto parts = [&](double microseconds, std::int64_t limit) {
        return static_cast<std::int32_t>(
            std::clamp(static_cast<std::int64_t>(microseconds / part + 0.5), std::int64_t{1}, limit));
      };
      chunk.gather_parts = static_cast<std::int32_t>(1 + (chunk.rows - 1) / 128);
      chunk.first_parts = parts(of_chunk.first, of_chunk.first_limit);
      chunk.second_parts = parts(of_chunk.second, of_chunk.second_limit);
      chunk.predecessor = static_cast<std::int32_t>(owners[arena]);
      owners[arena] = c;
      chunk.arena = arena;
      arena = (arena + 1) % arenas;
    }
  }

  void push(Stage stage, std::int64_t chunk, std::int64_t parts) noexcept {
    runs_[run_count_++] = {stage, chunk, total_, total_ + parts};
    total_ += parts;
  }

  Run* runs_ = nullptr;
  std::int64_t run_count_ = 0;
  std::int64_t total_ = 0;
};

/// Spins until `counter` is at least `value`; gives way when it takes long.
inline void wait_for(const std::atomic<std::int32_t>& counter, std::int32_t value) noexcept {
  for (int round = 0; counter.load(std::memory_order_acquire) < value; ++round) {
    if (round < 1000) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
