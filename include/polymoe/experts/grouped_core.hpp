// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#include "polymoe/activation/visit.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/add_slots.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/epilogue.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/experts/held_chunks.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/experts/memory.hpp"
#include "polymoe/experts/multiply_panels.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/experts/product.hpp"
#include "polymoe/experts/prologue.hpp"
#include "polymoe/experts/quantized_rows.hpp"
#include "polymoe/experts/schedule.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/microkernels.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/routing/route.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Grouped gemm1-activation-gemm2: rows are sorted by expert, each expert's weights are read once, and everything
/// between reading hidden_states and adding up the slots stays in the caches of the core that works on it.
///
/// Weighted slots are added in fp32 in the order of j while all of them fit slots_limit; beyond that a token's pairs
/// are added by rising expert, which needs one row of fp32 for each token instead of one for each pair. Neither order
/// depends on the number of threads; with numerics::BatchInvariant slots are added by rising expert, too.
template <FusedMoEConfig config, layout::Codec Codec, class Microkernel, QuantKey activation_key>
class GroupedCore {
 public:
  using Element = typename Microkernel::Element;
  using kernel_format = layout::Panels<Codec>;

  GroupedCore(PackedWeightsView weights, const Layer& layer, ExpertsForm form)
      : weights_(weights),
        layer_(layer),
        expert_(kernel_format::expert_panels(layer.shape, weights.header().storage)),
        form_(form),
        sizes_(layer, expert_, form) {}

  const Layer& layer() const noexcept { return layer_; }

  /// Bytes that one call needs for up to `max_tokens` rows (batched: rows of the whole [E * max_tokens, H] matrix).
  std::size_t workspace_size(std::int64_t max_tokens, int concurrency) const noexcept {
    WorkspaceCutter cutter;
    static_cast<void>(Memory(cutter, layer_.shape, form_, sizes_, max_tokens, concurrency));
    return cutter.used();
  }

  template <Executor E>
  void modular(const ModularArguments& arguments, std::byte* workspace, E& executor) const noexcept {
    Memory memory = cut(workspace, arguments.hidden_states.rows, executor.concurrency());
    run(arguments, memory, executor);
  }

  template <Executor E>
  void monolithic(const MonolithicArguments& arguments, std::byte* workspace, E& executor) const noexcept {
    const std::int64_t tokens = arguments.hidden_states.rows;
    Memory memory = cut(workspace, tokens, executor.concurrency());
    const MatrixView<float> weights(memory.topk_weights, tokens, layer_.shape.top_k);
    const MatrixView<std::int32_t> ids(memory.topk_ids, tokens, layer_.shape.top_k);
    route(arguments, weights, ids, memory, executor);
    run(ModularArguments{arguments.out, arguments.hidden_states, weights, ids}, memory, executor);
    for (std::int64_t t = 0; t < arguments.chosen_ids.rows; ++t) {
      std::copy_n(ids.row(t), layer_.shape.top_k, arguments.chosen_ids.row(t));
      std::copy_n(weights.row(t), layer_.shape.top_k, arguments.chosen_weights.row(t));
    }
  }

  template <Executor E>
  void batched(const BatchedArguments& arguments, std::byte* workspace, E& executor) const noexcept {
    Memory memory = cut(workspace, arguments.hidden_states.rows, executor.concurrency());
    memory.plan.sort(arguments);
    Call call(*this, memory, arguments.out, arguments.hidden_states, executor.concurrency());
    call.execute(executor, 0);
  }

 private:
  using V = typename Microkernel::Vector;
  using Sum = typename Microkernel::Sum;
  using Sizes = RowSizes<Microkernel, activation_key>;
  using Memory = experts::Memory<Microkernel, activation_key>;
  static_assert(scattered_panels * sums_apart(microkernel::RowBlocks(chunk_rows_limit)) <=
                WorkerMemory<Microkernel>::sums_limit);
  static constexpr std::int64_t k_of_step = microkernel::step_k<Element>;
  /// Tokens from which on quantizing them once is worth a pass of its own.
  static constexpr std::int64_t least_shared_codes = 64;
  static constexpr bool quantizes = Sizes::quantizes;
  static constexpr bool has_row_scales = Sizes::has_row_scales;
  static constexpr bool measures = Sizes::measures;

  Memory cut(std::byte* workspace, std::int64_t tokens, int concurrency) const noexcept {
    WorkspaceCutter cutter(workspace);
    return Memory(cutter, layer_.shape, form_, sizes_, tokens, concurrency);
  }

  template <Executor E>
  void route(const MonolithicArguments& arguments, const MatrixView<float>& weights,
             const MatrixView<std::int32_t>& ids, const Memory& memory, E& executor) const noexcept {
    // Runs of tokens that are worth handing out.
    constexpr std::int64_t run = 16;
    const TokensView& logits = arguments.router_logits;
    executor.parallel_for((logits.rows + run - 1) / run, [&](std::int64_t index, int worker) {
      routing::route<V>(layer_.routing, logits, layer_.e_score_correction_bias, layer_.routing_parameters, ids, weights,
                        index * run, std::min(logits.rows, (index + 1) * run), memory.routing_scratch(worker));
    });
  }

  template <Executor E>
  void run(const ModularArguments& arguments, Memory& memory, E& executor) const noexcept {
    memory.plan.sort(arguments, layer_);
    Call call(*this, memory, arguments.out, arguments.hidden_states, executor.concurrency());
    call.choice = &arguments;
    const std::int64_t tokens = arguments.hidden_states.rows;
    const std::int64_t reduce_parts =
        sizes_.fills_slots(tokens)
            ? std::clamp<std::int64_t>(sizes_.slots_bytes(tokens) / 65536, 1, 4 * executor.concurrency())
            : 1;
    call.execute(executor, reduce_parts);
  }

  /// The state of one call, shared by its workers.
  struct Call {
    const GroupedCore& self;
    Memory& memory;
    MutableTokensView out;
    TokensView hidden_states;
    const ModularArguments* choice = nullptr;  ///< not for the batched form
    bool fills_slots;
    bool chained;              ///< chunks add to the same sums, in their order
    float first_scale = 1.0F;  ///< of the whole matrix, where the activation key has one
    float second_scale = 1.0F;
    bool measuring = false;  ///< this pass only finds the greatest intermediate
    int workers;
    bool has_codes;  ///< rows of hidden_states are in memory.codes
    std::atomic<std::int64_t> next_ticket{0};

    Call(const GroupedCore& experts, Memory& arrays, const MutableTokensView& output, const TokensView& input,
         int concurrency) noexcept
        : self(experts),
          memory(arrays),
          out(output),
          hidden_states(input),
          fills_slots(experts.sizes_.fills_slots(input.rows)),
          chained(!fills_slots && experts.sizes_.slots > 1),
          first_scale(experts.layer_.quant.w13_input_scale),
          second_scale(experts.layer_.quant.w2_input_scale),
          workers(concurrency),
          has_codes(experts.sizes_.shares_codes && input.rows >= least_shared_codes) {}

    template <Executor E>
    void execute(E& executor, std::int64_t reduce_parts) noexcept {
      if constexpr (measures) {
        first_scale = scale_of_inputs(executor);
        measuring = true;
        std::fill_n(memory.worker_maxima, workers, 0.0F);
        pass(executor, 0);
        measuring = false;
        second_scale = fp8_scale(*std::max_element(memory.worker_maxima, memory.worker_maxima + workers));
        memory.plan.restart();
        next_ticket.store(0);
      }
      if constexpr (has_row_scales) {
        if (has_codes) quantize_inputs(executor);
      }
      pass(executor, reduce_parts);
    }

    template <Executor E>
    void quantize_inputs(E& executor) noexcept {
      // Runs of tokens that are worth handing out.
      constexpr std::int64_t run = 16;
      const std::int64_t tokens = hidden_states.rows;
      const std::int64_t steps = self.sizes_.first_steps;
      executor.parallel_for((tokens + run - 1) / run, [&](std::int64_t index, int) {
        for (std::int64_t t = index * run; t < std::min(tokens, (index + 1) * run); ++t) {
          if (memory.plan.is_idle(t)) continue;
          const DenseRow row(memory.codes + t * steps * microkernel::row_step_bytes, steps);
          memory.code_scales[t] = store_int8_input_row(hidden_states, t, 1.0F, row);
        }
      });
    }

    /// fp8_dynamic_tensor: the scale of all rows of x', routed to a local expert or not.
    template <Executor E>
    float scale_of_inputs(E& executor) noexcept {
      std::fill_n(memory.worker_maxima, workers, 0.0F);
      const bool weighted = choice != nullptr && self.layer_.apply_router_weight_on_input;
      executor.parallel_for(hidden_states.rows, [&](std::int64_t t, int worker) {
        float* const row = memory.row_of_worker(worker);
        load_input_row<V>(hidden_states, t, weighted ? choice->topk_weights.row(t)[0] : 1.0F, row);
        float& greatest = memory.worker_maxima[worker];
        greatest = std::max(greatest, absolute_maximum_of_numbers(row, hidden_states.columns));
      });
      return fp8_scale(*std::max_element(memory.worker_maxima, memory.worker_maxima + workers));
    }

    template <Executor E>
    void pass(E& executor, std::int64_t reduce_parts) noexcept {
      memory.schedule.build(
          memory.plan, [this](const Chunk& chunk) { return cost(chunk); }, workers, memory.arena_count, reduce_parts,
          quantizes);
      for (std::int64_t i = 0; i < Memory::chain_length; ++i) std::construct_at(memory.chain + i, 0);
      executor.parallel_for(std::min<std::int64_t>(workers, memory.schedule.total()),
                            [this](std::int64_t, int worker) { Worker(*this, worker).work(); });
    }

    /// No unit of a chunk's second product has to wait.
    bool is_free(std::int64_t chunk) const noexcept {
      return !chained || memory.chain[units() - 1].load(std::memory_order_acquire) >= chunk;
    }

    /// Pieces of the second product. Where chunks are chained, a worker begins a unit when the chunk before has left it:
    /// few, so that results are written in long runs, but enough for all workers.
    std::int64_t units() const noexcept {
      const std::int64_t panels = self.expert_.w2.panels;
      if (!chained) return panels;
      const std::int64_t long_runs = (panels + scattered_panels - 1) / scattered_panels;
      return std::min({Memory::chain_length, panels, std::max<std::int64_t>(long_runs, 2 * std::int64_t{workers})});
    }

    ChunkCost cost(const Chunk& chunk) const noexcept {
      const auto of_product = [&](const layout::PanelMatrix& matrix, std::int64_t panels, double& microseconds,
                                  std::int64_t& limit) {
        // What one core reads and multiplies in a microsecond, and how fast it gets activations that another core made.
        constexpr double bytes = 15000;
        constexpr double shared_bytes = 10000;
        const double flops = 2.0 * static_cast<double>(chunk.rows * matrix.depth * layout::panel_columns);
        const double of_panel =
            std::max(static_cast<double>(matrix.panel_bytes) / bytes, flops / Microkernel::flops_per_microsecond);
        const double of_activations = static_cast<double>(chunk.rows * matrix.depth) * sizeof(Element) / shared_bytes;
        const double panels_of_part = std::max(1.0, 10 * of_activations / of_panel);
        microseconds = of_panel * static_cast<double>(panels);
        limit = std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(panels) / panels_of_part));
      };
      ChunkCost result;
      of_product(self.expert_.w13, self.expert_.w13.panels, result.first, result.first_limit);
      of_product(self.expert_.w2, self.expert_.w2.panels, result.second, result.second_limit);
      result.second_limit = std::min(result.second_limit, units());
      return result;
    }
  };

  /// One worker of one call.
  class Worker {
   public:
    Worker(Call& call, int index) noexcept
        : call_(call),
          self_(call.self),
          index_(index),
          memory_(call.memory.of_worker(index)),
          reader_(call.memory.schedule),
          held_(call.memory.held_places) {}

    /// Draws tickets until there are none.
    void work() noexcept {
      for (draw(); !at_end_; draw()) {
        has_drawn_ = false;
        perform(Ticket(next_));
      }
      while (!held_.is_empty()) finish_held();
    }

   private:
    /// The next ticket, where it is not drawn yet.
    void draw() noexcept {
      if (has_drawn_) return;
      has_drawn_ = true;
      const std::int64_t number = call_.next_ticket.fetch_add(1, std::memory_order_relaxed);
      at_end_ = number >= call_.memory.schedule.total();
      if (!at_end_) next_ = reader_.at(number);
    }

    /// What this worker reads after the last product of its ticket, so that it is on its way in time. Asked for when that
    /// product begins and not before: chunks that are chained wait for the earlier ones, also for those that a worker
    /// holds and has not begun.
    microkernel::WeightStream following() noexcept {
      draw();
      return at_end_ ? microkernel::WeightStream{} : first_stream(next_);
    }

    Chunk& chunk(const Ticket& ticket) const noexcept { return call_.memory.plan.chunk(ticket.chunk); }

    /// What a ticket reads first.
    microkernel::WeightStream first_stream(const Ticket& ticket) const noexcept {
      const bool reads_w13 = ticket.stage == Stage::whole || ticket.stage == Stage::first;
      if (reads_w13) return w13_stream(chunk(ticket), ticket.part, ticket.parts);
      if (ticket.stage == Stage::second) return w2_stream(chunk(ticket), second_units(ticket.part, ticket.parts));
      return {};
    }

    const std::byte* weights(const Chunk& chunk) const noexcept { return self_.weights_.expert(chunk.expert); }

    microkernel::WeightStream w13_stream(const Chunk& chunk, std::int64_t part, std::int64_t parts) const noexcept {
      const layout::PanelMatrix& w13 = self_.expert_.w13;
      const std::int64_t begin = w13.panels * part / parts;
      return weight_stream<Microkernel, Codec>(w13, weights(chunk), begin, w13.panels * (part + 1) / parts - begin,
                                               microkernel::RowBlocks(chunk.rows));
    }

    /// A run of units of the second product that is one stream.
    struct Units {
      std::int64_t begin = 0;
      std::int64_t end = 0;
    };

    /// The first run of a part: all of it, but where chunks are chained each unit is a stream of its own.
    Units second_units(std::int64_t part, std::int64_t parts) const noexcept {
      const std::int64_t begin = call_.units() * part / parts;
      return {begin, call_.chained ? begin + 1 : call_.units() * (part + 1) / parts};
    }

    microkernel::WeightStream w2_stream(const Chunk& chunk, const Units& units) const noexcept {
      const layout::PanelMatrix& w2 = self_.expert_.w2;
      const std::int64_t begin = w2.panels * units.begin / call_.units();
      return weight_stream<Microkernel, Codec>(w2, weights(chunk), begin, w2.panels * units.end / call_.units() - begin,
                                               microkernel::RowBlocks(chunk.rows));
    }

    void perform(const Ticket& ticket) noexcept {
      if (ticket.stage == Stage::whole) return whole(ticket);
      while (!held_.is_empty()) finish_held();
      if (ticket.stage == Stage::reduce) return reduce(ticket);
      Chunk& chunk = this->chunk(ticket);
      const microkernel::RowBlocks blocks(chunk.rows);
      session_.set_height(blocks.height);
      const ChunkArrays at = self_.sizes_.arrays(call_.memory.arena(chunk, index_), blocks);
      switch (ticket.stage) {
        case Stage::gather:
          if (chunk.predecessor >= 0) {
            const Chunk& before = call_.memory.plan.chunk(chunk.predecessor);
            wait_for(before.second_done, before.second_parts);
          }
          gather(chunk, blocks, at, ticket.part, ticket.parts);
          chunk.gathered.fetch_add(1, std::memory_order_release);
          break;
        case Stage::first:
          wait_for(chunk.gathered, chunk.gather_parts);
          first(chunk, blocks, at, ticket.part, ticket.parts, following());
          chunk.first_done.fetch_add(1, std::memory_order_release);
          break;
        case Stage::quantize:
          wait_for(chunk.first_done, chunk.first_parts);
          if constexpr (quantizes) quantize(blocks, at, ticket.part, ticket.parts);
          chunk.quantized.fetch_add(1, std::memory_order_release);
          break;
        case Stage::second:
          wait_for(chunk.first_done, chunk.first_parts);
          if constexpr (quantizes) wait_for(chunk.quantized, chunk.gather_parts);
          second(ticket.chunk, chunk, blocks, at, ticket.part, ticket.parts);
          chunk.second_done.fetch_add(1, std::memory_order_release);
          break;
        case Stage::whole:
        case Stage::reduce: break;
      }
    }

    /// A chunk of its own. While chunks before it are not done its second product is held, and the worker takes the next
    /// chunk instead of waiting. Who waits would end when that one ends for whom it waited, both would begin their next
    /// chunks together, and wait again.
    void whole(const Ticket& ticket) noexcept {
      const Chunk& chunk = this->chunk(ticket);
      const microkernel::RowBlocks blocks(chunk.rows);
      session_.set_height(blocks.height);
      ChunkArrays at = self_.sizes_.arrays(call_.memory.arena(chunk, index_), blocks);
      self_.sizes_.move_second(at, call_.memory.held(index_, held_.next_place()), blocks);
      gather(chunk, blocks, at, 0, 1);
      held_.push({ticket.chunk, at});
      const bool likely_free = call_.is_free(held_.oldest().chunk - 1);
      first(chunk, blocks, at, 0, 1, likely_free ? w2_stream(oldest_chunk(), second_units(0, 1)) : following());
      if constexpr (quantizes) quantize(blocks, at, 0, 1);
      while (held_.is_full() || (!held_.is_empty() && call_.is_free(held_.oldest().chunk))) finish_held();
    }

    Chunk& oldest_chunk() const noexcept { return call_.memory.plan.chunk(held_.oldest().chunk); }

    void finish_held() noexcept {
      Chunk& chunk = oldest_chunk();
      const microkernel::RowBlocks blocks(chunk.rows);
      session_.set_height(blocks.height);
      second(held_.oldest().chunk, chunk, blocks, held_.oldest().at, 0, 1);
      chunk.second_done.store(1, std::memory_order_release);
      held_.pop();
    }

    void gather(const Chunk& chunk, const microkernel::RowBlocks& blocks, const ChunkArrays& at, std::int64_t part,
                std::int64_t parts) const noexcept {
      const RoutedRow* const rows = call_.memory.plan.rows(chunk);
      const std::int64_t begin = blocks.blocks * part / parts;
      const std::int64_t end = blocks.blocks * (part + 1) / parts;
      if constexpr (quantizes) {
        const bool weighted = self_.layer_.apply_router_weight_on_input;
        const std::int64_t steps = self_.sizes_.first_steps;
        if constexpr (has_row_scales) {
          if (call_.has_codes) {
            const std::int64_t columns = steps * k_of_step;
            const TokensView codes(call_.memory.codes, DType::i8, call_.hidden_states.rows, columns, columns);
            gather_blocks<V, Element, Element>(codes, rows, blocks, begin, end, steps, at.activations);
            const std::int64_t last_row = std::min(blocks.rows, end * blocks.height);
            for (std::int64_t row = begin * blocks.height; row < last_row; ++row) {
              at.activation_scales[row] = call_.memory.code_scales[rows[row].token];
            }
            return;
          }
        }
        for_rows(blocks, begin, end, steps, at.activations, [&](std::int64_t row) {
          const float weight = weighted ? rows[row].weight : 1.0F;
          if constexpr (has_row_scales) {
            at.activation_scales[row] = store_int8_input_row(call_.hidden_states, rows[row].token, weight,
                                                             OperandRow(blocks, row, steps, at.activations));
          } else {
            float* const values = call_.memory.row_of_worker(index_);
            load_input_row<V>(call_.hidden_states, rows[row].token, weight, values);
            store_quantized_row<V, Element, activation_key>(values, self_.layer_.shape.hidden_size, call_.first_scale,
                                                            blocks, row, steps, at.activations);
          }
        });
      } else {
        visit_floating_dtype(call_.hidden_states.dtype, [&]<class T>() {
          gather_blocks<V, Element, T>(call_.hidden_states, rows, blocks, begin, end, self_.sizes_.first_steps,
                                       at.activations);
        });
        for (std::int64_t block = begin; block < end; ++block) {
          clear_padding(blocks, block, self_.sizes_.intermediate_columns / k_of_step, self_.sizes_.second_steps,
                        at.intermediate);
        }
      }
    }

    /// Calls f(row) for the rows of blocks [begin, end) of an operand, and clears the rows that only fill a block.
    template <class F>
    static void for_rows(const microkernel::RowBlocks& blocks, std::int64_t begin, std::int64_t end, std::int64_t steps,
                         std::byte* operand, F f) noexcept {
      for (std::int64_t block = begin; block < end; ++block) {
        const std::int64_t first = block * blocks.height;
        for (std::int64_t row = first; row < first + blocks.rows_in(block); ++row) f(row);
        clear_padding(blocks, block, steps, steps, operand);
      }
    }

    /// The intermediate, from its fp32 values, as operand of the second product; or what is greatest in it.
    void quantize(const microkernel::RowBlocks& blocks, const ChunkArrays& at, std::int64_t part,
                  std::int64_t parts) const noexcept {
      const std::int64_t size = self_.layer_.shape.intermediate_size;
      const std::int64_t begin = blocks.blocks * part / parts;
      const std::int64_t end = blocks.blocks * (part + 1) / parts;
      for_rows(blocks, begin, end, self_.sizes_.second_steps, at.intermediate, [&](std::int64_t row) {
        const WideRow from{at.wide + row * microkernel::tile_columns, at.wide_stride};
        if constexpr (has_row_scales) {
          at.intermediate_scales[row] =
              store_int8_row(from, size, OperandRow(blocks, row, self_.sizes_.second_steps, at.intermediate));
        } else {
          float* const values = call_.memory.row_of_worker(index_);
          from.copy(size, values);
          if (measures && call_.measuring) {
            float& greatest = call_.memory.worker_maxima[index_];
            greatest = std::max(greatest, absolute_maximum_of_numbers(values, size));
            return;
          }
          store_quantized_row<V, Element, activation_key>(values, size, call_.second_scale, blocks, row,
                                                          self_.sizes_.second_steps, at.intermediate);
        }
      });
    }

    PanelTails tails(const layout::PanelMatrix& matrix, const Chunk& chunk) const noexcept {
      return {matrix.bias(weights(chunk), 0), matrix.tail_floats, Codec::has_column_scales};
    }

    Product product(const layout::PanelMatrix& matrix, const Chunk& chunk, const microkernel::RowBlocks& blocks,
                    const std::byte* operand, const microkernel::WeightStream& stream,
                    const microkernel::WeightStream& next) const noexcept {
      Product result;
      result.blocks = blocks;
      result.activations = operand;
      result.steps = matrix.depth / k_of_step;
      result.weights = stream;
      result.next = next;
      result.first_panel = (stream.first - matrix.panel(weights(chunk), 0)) / matrix.panel_bytes;
      result.record = matrix.record;
      result.tails = matrix.bias(weights(chunk), result.first_panel);
      result.tail_floats = matrix.tail_floats;
      result.batch_invariant = config.numerics.batch_invariant;
      result.comes_in_fp32 = call_.hidden_states.dtype == DType::f32;
      return result;
    }

    void first(const Chunk& chunk, const microkernel::RowBlocks& blocks, const ChunkArrays& at, std::int64_t part,
               std::int64_t parts, const microkernel::WeightStream& next) noexcept {
      Product work = product(self_.expert_.w13, chunk, blocks, at.activations, w13_stream(chunk, part, parts), next);
      using Place = std::conditional_t<quantizes, PlaceInRuns, PlaceInOperand<Element>>;
      const Place place = [&] {
        if constexpr (quantizes) return Place{at.wide, at.wide_stride};
        if constexpr (!quantizes) return Place{at.intermediate, self_.sizes_.second_steps};
      }();
      const auto multiply = [&]<class Functor>(const Functor& functor) {
        using End = Activate<V, Sum, Place, Functor>;
        const End end{functor,
                      tails(self_.expert_.w13, chunk),
                      call_.memory.plan.rows(chunk),
                      self_.layer_.apply_router_weight_on_input && !quantizes,
                      has_row_scales ? at.activation_scales : nullptr,
                      place,
                      self_.layer_.shape.intermediate_size};
        work.finish = {&end, &End::finish};
        multiply_panels<Microkernel, Codec>(work, memory_, prefetcher_);
      };
      const QuantConfig& quant = self_.layer_.quant;
      if constexpr (activation::has_functor(config.activation)) {
        multiply(activation::functor_of<config.activation>(quant.activation_parameters));
      } else {
        activation::visit_activation(quant.activation, quant.activation_parameters, multiply);
      }
    }

    void second(std::int64_t index, const Chunk& chunk, const microkernel::RowBlocks& blocks, const ChunkArrays& at,
                std::int64_t part, std::int64_t parts) noexcept {
      if (measures && call_.measuring) return;
      const std::int64_t end = call_.units() * (part + 1) / parts;
      const auto multiply = [&](const Finish& finish) {
        for (Units now = second_units(part, parts); now.begin < end; ++now.begin, ++now.end) {
          const bool is_last = now.end == end;
          Product work = product(self_.expert_.w2, chunk, blocks, at.intermediate, w2_stream(chunk, now),
                                 is_last ? following() : w2_stream(chunk, {now.end, now.end + 1}));
          work.finish = finish;
          if (call_.chained) wait_for(call_.memory.chain[now.begin], static_cast<std::int32_t>(index));
          multiply_panels<Microkernel, Codec>(work, memory_, prefetcher_);
          if (!call_.chained) break;
          call_.memory.chain[now.begin].fetch_add(1, std::memory_order_release);
        }
      };
      float* const memory = call_.memory.results;
      const std::int64_t stride = self_.sizes_.results_stride;
      const Results<V, Sum> results{tails(self_.expert_.w2, chunk), call_.memory.plan.rows(chunk),
                                    self_.layer_.apply_router_weight_on_input,
                                    has_row_scales ? at.intermediate_scales : nullptr};
      if (call_.fills_slots) {
        const FillSlots<V, Sum> end_of_panels{results, memory, stride};
        multiply({&end_of_panels, &FillSlots<V, Sum>::finish, scattered_panels});
      } else {
        const AddToSums<V, Sum> end_of_panels{results, memory, stride, call_.out};
        multiply({&end_of_panels, &AddToSums<V, Sum>::finish, scattered_panels});
      }
    }

    /// Adds up a part of the slots; where sums were kept instead, the tokens that no expert took become zeros.
    void reduce(const Ticket& ticket) const noexcept {
      const std::int64_t hidden_size = self_.layer_.shape.hidden_size;
      const std::int64_t tokens = call_.hidden_states.rows;
      if (!call_.fills_slots) {
        const std::size_t row_bytes = static_cast<std::size_t>(hidden_size) * size_of(call_.out.dtype);
        for (std::int64_t t = 0; t < tokens; ++t) {
          if (call_.memory.plan.is_idle(t)) std::memset(call_.out.row(t), 0, row_bytes);
        }
        return;
      }
      for (std::int64_t c = 0; c < call_.memory.plan.chunk_count(); ++c) {
        const Chunk& chunk = call_.memory.plan.chunk(c);
        wait_for(chunk.second_done, chunk.second_parts);
      }
      constexpr SlotOrder order = config.numerics.batch_invariant ? SlotOrder::by_expert : SlotOrder::by_slot;
      const Slots slots{self_.layer_, call_.choice->topk_ids, call_.memory.results, self_.sizes_.results_stride};
      add_slots<V, order>(slots, call_.out, ticket.part, ticket.parts);
    }

    Call& call_;
    const GroupedCore& self_;
    std::int64_t index_;
    WorkerMemory<Microkernel> memory_;
    typename Microkernel::Session session_{};
    microkernel::Prefetcher prefetcher_{};
    Schedule::Reader reader_;
    Ticket next_{};
    HeldChunks held_;
    bool has_drawn_ = false;
    bool at_end_ = false;
  };

  PackedWeightsView weights_;
  Layer layer_;
  layout::ExpertPanels expert_;
  ExpertsForm form_;
  Sizes sizes_;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
