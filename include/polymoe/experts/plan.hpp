// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "polymoe/config/view.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Which rows an expert multiplies: (token, expert) pairs sorted by expert, and within an expert by token, cut into
// chunks of a bounded number of rows.

namespace polymoe::inline POLYMOE_ISA::experts {

/// One (token, expert) pair.
struct RoutedRow {
  std::int32_t token;  ///< row of hidden_states, and of the output
  std::int32_t slot;   ///< token * slots_per_token + j
  float weight;        ///< c of numerics.md, or the weight on the input
  bool is_first;       ///< of the token's pairs in this order
  bool is_last;
};

/// Rows of one expert that are worked off together.
struct Chunk {
  std::int64_t expert = 0;
  std::int64_t first_row = 0;
  std::int64_t rows = 0;
  std::int32_t gather_parts = 1;  ///< pieces of work; 0 first_parts: the whole chunk is one piece
  std::int32_t first_parts = 0;
  std::int32_t second_parts = 1;
  std::int32_t arena = -1;        ///< where its activations are; -1: at the worker's own place
  std::int32_t predecessor = -1;  ///< the chunk that had the arena before
  std::atomic<std::int32_t> gathered{0};
  std::atomic<std::int32_t> first_done{0};
  std::atomic<std::int32_t> quantized{0};
  std::atomic<std::int32_t> second_done{0};

  bool is_whole() const noexcept { return first_parts == 0; }
};

/// The most rows of a chunk. More rows use each weight byte more often; fewer keep a step's operands in L2.
inline constexpr std::int64_t chunk_rows_limit = 320;

class Plan {
 public:
  Plan() = default;

  /// Memory for up to `slots` pairs of `experts` experts.
  Plan(WorkspaceCutter& cutter, std::int64_t slots, std::int64_t tokens, std::int64_t experts) noexcept
      : rows_(cutter.take<RoutedRow>(static_cast<std::size_t>(slots))),
        first_of_expert_(cutter.take<std::int64_t>(static_cast<std::size_t>(experts + 1))),
        last_of_token_(cutter.take<std::int32_t>(static_cast<std::size_t>(tokens))),
        chunks_(cutter.take<Chunk>(static_cast<std::size_t>(chunks_bound(slots, experts)))),
        experts_(experts) {}

  static std::int64_t chunks_bound(std::int64_t slots, std::int64_t experts) noexcept {
    return std::min(slots, experts + slots / chunk_rows_limit);
  }

  /// The pairs of ids and weights [T, k], and of the shared experts.
  void sort(const ModularArguments& arguments, const Layer& layer) noexcept {
    const std::int64_t tokens = arguments.topk_ids.rows;
    const std::int64_t top_k = layer.shape.top_k;
    const std::int64_t slots = layer.shape.slots_per_token();
    const auto expert_of = [&](std::int64_t t, std::int64_t j) {
      return layer.expert_of_slot(arguments.topk_ids.row(t), j);
    };
    std::fill(first_of_expert_, first_of_expert_ + experts_ + 1, 0);
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t j = 0; j < slots; ++j) {
        if (const std::int64_t expert = expert_of(t, j); expert >= 0) ++first_of_expert_[expert];
      }
    }
    // Each entry becomes the end of its expert's rows, and is counted down to their beginning.
    for (std::int64_t e = 0; e < experts_; ++e) first_of_expert_[e + 1] += first_of_expert_[e];
    std::int64_t* const place = first_of_expert_;
    for (std::int64_t t = tokens; t-- > 0;) {
      for (std::int64_t j = slots; j-- > 0;) {
        const std::int64_t expert = expert_of(t, j);
        if (expert < 0) continue;
        const float weight = j < top_k ? arguments.topk_weights.row(t)[j] : 1.0F;
        rows_[--place[expert]] = {static_cast<std::int32_t>(t), static_cast<std::int32_t>(t * slots + j), weight, false,
                                  false};
      }
    }
    cut_chunks();
    mark_ends(tokens);
  }

  /// Rows e * max_tokens + i of the batched form.
  void sort(const BatchedArguments& arguments) noexcept {
    std::int64_t row = 0;
    for (std::int64_t e = 0; e < experts_; ++e) {
      first_of_expert_[e] = row;
      for (std::int64_t i = 0; i < arguments.expert_num_tokens[static_cast<std::size_t>(e)]; ++i) {
        const auto place = static_cast<std::int32_t>(e * arguments.max_tokens + i);
        rows_[row++] = {place, place, 1.0F, true, true};
      }
    }
    first_of_expert_[experts_] = row;
    cut_chunks();
  }

  /// Makes the chunks ready for another pass over them.
  void restart() noexcept { cut_chunks(); }

  std::int64_t chunk_count() const noexcept { return chunk_count_; }
  Chunk& chunk(std::int64_t index) const noexcept { return chunks_[index]; }
  const RoutedRow* rows(const Chunk& chunk) const noexcept { return rows_ + chunk.first_row; }
  /// No pair has the token (only after the modular sort).
  bool is_idle(std::int64_t token) const noexcept { return last_of_token_[token] < 0; }

 private:
  void cut_chunks() noexcept {
    chunk_count_ = 0;
    for (std::int64_t e = 0; e < experts_; ++e) {
      const std::int64_t begin = first_of_expert_[e];
      const std::int64_t rows = first_of_expert_[e + 1] - begin;
      const std::int64_t pieces = (rows + chunk_rows_limit - 1) / chunk_rows_limit;
      for (std::int64_t piece = 0; piece < pieces; ++piece) {
        Chunk& chunk = *std::construct_at(chunks_ + chunk_count_++);
        chunk.expert = e;
        chunk.first_row = begin + rows * piece / pieces;
        chunk.rows = begin + rows * (piece + 1) / pieces - chunk.first_row;
      }
    }
  }

  /// Finds each token's first and last pair.
  void mark_ends(std::int64_t tokens) noexcept {
    std::fill(last_of_token_, last_of_token_ + tokens, -1);
    for (std::int64_t row = 0; row < first_of_expert_[experts_]; ++row) {
      std::int32_t& last = last_of_token_[rows_[row].token];
      rows_[row].is_first = last < 0;
      last = static_cast<std::int32_t>(row);
    }
    for (std::int64_t t = 0; t < tokens; ++t) {
      if (last_of_token_[t] >= 0) rows_[last_of_token_[t]].is_last = true;
    }
  }

  RoutedRow* rows_ = nullptr;
  std::int64_t* first_of_expert_ = nullptr;
  std::int32_t* last_of_token_ = nullptr;
  Chunk* chunks_ = nullptr;
  std::int64_t experts_ = 0;
  std::int64_t chunk_count_ = 0;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
