// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::prepare_finalize {

/// Tokens are copied into the batched form [E, max_tokens, H] before the experts and gathered, weighted and reduced
/// after them: what an engine does whose exchange delivers batches. Works chunk by chunk, so that the capacity of an
/// expert's batch is a constant: a chunk of `max_tokens` tokens never fills a batch, even if all choose one expert.
struct Batched {
  static constexpr ActivationFormat activation_format = ActivationFormat::batched;
  static constexpr std::int64_t max_tokens = 32;

  template <class Experts>
  static std::size_t workspace_size(const Experts& experts, std::int64_t, int concurrency) noexcept {
    WorkspaceCutter cutter;
    cut(cutter, experts, DType::f32, concurrency);
    return cutter.used();
  }

  template <class Experts, Executor E>
  static void apply(const Experts& experts, const ModularArguments& arguments, std::byte* workspace,
                    E& executor) noexcept {
    const Layer& layer = experts.layer();
    WorkspaceCutter cutter(workspace);
    const Buffers buffers = cut(cutter, experts, arguments.hidden_states.dtype, executor.concurrency());
    const std::int64_t tokens = arguments.hidden_states.rows;
    for (std::int64_t first = 0; first < tokens; first += max_tokens) {
      const std::int64_t count = std::min(max_tokens, tokens - first);
      prepare(layer, arguments, first, count, buffers, executor);
      experts.apply(BatchedArguments{buffers.out, buffers.in, buffers.counts, max_tokens}, buffers.experts, executor);
      finalize(layer, arguments, first, count, buffers, executor);
    }
  }

 private:
  struct Buffers {
    TokensView in{};
    MutableTokensView out{};
    std::span<std::int32_t> counts{};
    std::byte* in_memory = nullptr;
    std::int64_t* row_of_slot = nullptr;  ///< [max_tokens, slots]: row of the batched matrix, -1: contributes nothing
    float* sums = nullptr;                ///< for each worker H numbers
    std::byte* experts = nullptr;
  };

  template <class Experts>
  static Buffers cut(WorkspaceCutter& cutter, const Experts& experts, DType dtype, int concurrency) noexcept {
    const LayerShape& shape = experts.layer().shape;
    const std::int64_t rows = shape.num_packed_experts() * max_tokens;
    const auto elements = static_cast<std::size_t>(rows * shape.hidden_size);
    Buffers buffers;
    buffers.in_memory = cutter.take<std::byte>(elements * size_of(dtype));
    buffers.in = TokensView(buffers.in_memory, dtype, rows, shape.hidden_size, shape.hidden_size);
    buffers.out = MutableTokensView(cutter.take<std::byte>(elements * sizeof(float)), DType::f32, rows,
                                    shape.hidden_size, shape.hidden_size);
    const auto experts_here = static_cast<std::size_t>(shape.num_packed_experts());
    buffers.counts = std::span(cutter.take<std::int32_t>(experts_here), experts_here);
    buffers.row_of_slot = cutter.take<std::int64_t>(static_cast<std::size_t>(max_tokens * shape.slots_per_token()));
    buffers.sums = cutter.take<float>(static_cast<std::size_t>(shape.hidden_size * concurrency));
    buffers.experts = cutter.take<std::byte>(experts.workspace_size(rows, concurrency));
    return buffers;
  }

  /// Copies each token's row to the batches of its experts. A token that names an expert twice takes one row of it.
  template <Executor E>
  static void prepare(const Layer& layer, const ModularArguments& arguments, std::int64_t first, std::int64_t count,
                      const Buffers& buffers, E& executor) noexcept {
    const LayerShape& shape = layer.shape;
    const std::int64_t slots = shape.slots_per_token();
    std::fill(buffers.counts.begin(), buffers.counts.end(), 0);
    for (std::int64_t t = 0; t < count; ++t) {
      std::int64_t* const rows = buffers.row_of_slot + t * slots;
      for (std::int64_t j = 0; j < slots; ++j) {
        const std::int64_t expert = expert_of(layer, arguments, first + t, j);
        rows[j] = expert < 0 ? -1 : row_in_batch(rows, j, expert, buffers.counts[static_cast<std::size_t>(expert)]);
      }
    }
    executor.parallel_for(count, [&](std::int64_t t, int) {
      const std::int64_t* const rows = buffers.row_of_slot + t * slots;
      for (std::int64_t j = 0; j < slots; ++j) {
        if (rows[j] >= 0) copy_row(layer, arguments, first + t, buffers, rows[j]);
      }
    });
  }

  static std::int64_t expert_of(const Layer& layer, const ModularArguments& arguments, std::int64_t t, std::int64_t j) {
    if (j >= layer.shape.top_k) return layer.shape.num_local_experts + j - layer.shape.top_k;
    return layer.packed_expert(arguments.topk_ids.row(t)[j]);
  }

  static std::int64_t row_in_batch(const std::int64_t* rows, std::int64_t j, std::int64_t expert,
                                   std::int32_t& tokens) {
    const auto same_expert = [&](std::int64_t row) { return row >= 0 && row / max_tokens == expert; };
    const std::int64_t* const twin = std::find_if(rows, rows + j, same_expert);
    return twin != rows + j ? *twin : expert * max_tokens + tokens++;
  }

  static void copy_row(const Layer& layer, const ModularArguments& arguments, std::int64_t t, const Buffers& buffers,
                       std::int64_t row) {
    const TokensView& source = arguments.hidden_states;
    const auto row_bytes = static_cast<std::int64_t>(size_of(source.dtype)) * layer.shape.hidden_size;
    std::memcpy(buffers.in_memory + row * row_bytes, source.row(t), static_cast<std::size_t>(row_bytes));
  }

  /// out[t] = sum of c[t, j] * y in fp32, in the order of j.
  template <Executor E>
  static void finalize(const Layer& layer, const ModularArguments& arguments, std::int64_t first, std::int64_t count,
                       const Buffers& buffers, E& executor) noexcept {
    const LayerShape& shape = layer.shape;
    executor.parallel_for(count, [&](std::int64_t t, int worker) {
      float* const sum = buffers.sums + worker * shape.hidden_size;
      std::fill(sum, sum + shape.hidden_size, 0.0F);
      for (std::int64_t j = 0; j < shape.slots_per_token(); ++j) {
        const std::int64_t row = buffers.row_of_slot[t * shape.slots_per_token() + j];
        if (row < 0) continue;
        const float weight = j < shape.top_k ? arguments.topk_weights.row(first + t)[j] : 1.0F;
        const std::byte* const y = buffers.out.row(row);
        for (std::int64_t h = 0; h < shape.hidden_size; ++h) sum[h] += weight * load_element<float>(y, h);
      }
      std::byte* const out = arguments.out.row(first + t);
      for (std::int64_t h = 0; h < shape.hidden_size; ++h) store_from_float(out, arguments.out.dtype, h, sum[h]);
    });
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::prepare_finalize
