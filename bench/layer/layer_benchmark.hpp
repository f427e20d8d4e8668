// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/layer/onednn_layer.hpp"
#include "bench/layer/process_memory.hpp"
#include "bench/layer/random_checkpoint.hpp"
#include "bench/layer/routing.hpp"
#include "bench/layer/scheme.hpp"
#include "bench/layer/shape.hpp"
#include "bench/support/ceiling_window.hpp"
#include "bench/support/median.hpp"
#include "bench/support/random_bits.hpp"
#include "examples/support/layer_kernel.hpp"
#include "polymoe/config/error.hpp"

namespace polymoe::bench {

/// How long one cell of the table is measured.
struct Effort {
  double seconds = 1.0;  ///< of kernels (and of the peer)
  int min_repetitions = 5;
};

/// One cell.
struct CellResult {
  std::int64_t tokens = 0;
  int threads = 0;
  int repetitions = 0;
  double ms = 0;
  double t_min_ms = 0;
  double bytes = 0;  ///< median over the repetitions
  double flops = 0;
  Ceilings ceilings{};  ///< while this cell was measured
  double peak = 0;      ///< the product ceiling that counts, tera per second
  std::optional<double> onednn_ms{};

  double efficiency() const { return t_min_ms / ms; }
};

/// Resident memory of a process with one layer, bytes.
struct MemoryResult {
  std::int64_t tokens = 0;
  std::size_t packed = 0;
  std::size_t workspace = 0;
  std::size_t arguments = 0;  ///< hidden states, output, routing
  std::size_t peak = 0;       ///< resident while apply ran, without the arguments
};

/// The packed weights of enough layers of one shape and scheme that no cache holds them, and what one kernel does with
/// them.
class LayerBenchmark {
 public:
  /// Weights of all layers together: more than any last-level cache.
  static constexpr std::size_t least_bytes = std::size_t{1100} << 20;

  LayerBenchmark(const Shape& shape, const MeasuredScheme& scheme, const tools::LayerKernel& kernel,
                 const AnyExecutor& executor, bool single_layer = false)
      : shape_(shape), scheme_(scheme), level_(kernel.level) {
    const RandomCheckpoint random(shape, scheme, executor);
    checkpoint_expert_bytes_ = random.expert_bytes();
    const tools::LayerSource source{
        .checkpoint = random.checkpoint(),
        .activation = shape.activation,
        .activation_parameters = {},
        .parameters = {.num_experts = shape.num_experts, .top_k = shape.top_k, .routing = RoutingMethod::given}};
    do {
      layers_.push_back(kernel.bind(source, executor));
    } while (!single_layer && !enough());
  }

  std::size_t layer_bytes() const { return layers_.front()->packed_bytes(); }
  double expert_bytes() const { return static_cast<double>(layer_bytes()) / static_cast<double>(shape_.num_experts); }
  double packed_over_checkpoint() const { return expert_bytes() / static_cast<double>(checkpoint_expert_bytes_); }
  int layers() const { return static_cast<int>(layers_.size()); }

  /// Bytes of workspace for calls of up to `tokens` tokens. Workspaces only grow: ask for few tokens first.
  std::size_t workspace_size(std::int64_t tokens, int threads) {
    layers_.front()->reserve(tokens, threads);
    return layers_.front()->workspace_bytes();
  }

  /// Measures one cell, with `peer` on the same routings where there is one.
  CellResult measure(std::int64_t tokens, const AnyExecutor& executor, const CeilingProbes& probes, OneDnnLayer* peer,
                     const Effort& effort) {
    Call call(shape_, tokens);
    for (const auto& layer : layers_) layer->reserve(tokens, executor.concurrency());
    CeilingWindow window(probes, level_, executor);
    std::vector<double> seconds, peer_seconds, bytes;
    double spent = 0;
    for (std::uint64_t repetition = 0;
         repetition == 0 || spent < effort.seconds || static_cast<int>(seconds.size()) < effort.min_repetitions;
         ++repetition) {
      const bool is_warm_up = repetition == 0;
      call.routing.shuffle(1000 * static_cast<std::uint64_t>(tokens) + repetition);
      const int layer = static_cast<int>(repetition) % layers();
      if (peer != nullptr) peer->prepare(call.routing.rows(), executor.concurrency());
      window.sample();
      const double took = call.apply(*layers_[static_cast<std::size_t>(layer)], executor);
      const double peer_took = peer == nullptr ? 0 : peer->run(layer, call.routing.rows());
      if (is_warm_up) {
        call.require_sound_output();
        continue;
      }
      spent += took + peer_took;
      seconds.push_back(took);
      peer_seconds.push_back(peer_took);
      bytes.push_back(bytes_of(call.routing, tokens));
    }
    window.finish();
    return cell(tokens, executor.concurrency(), window.ceilings(), seconds, bytes, peer, peer_seconds);
  }

  /// Resident memory of a call; only where this is the one layer of a process that has nothing else of size.
  MemoryResult measure_memory(std::int64_t tokens, const AnyExecutor& executor) {
    reset_peak_resident_bytes();
    Call call(shape_, tokens);
    call.routing.shuffle(1);
    call.apply(*layers_.front(), executor);
    return {.tokens = tokens,
            .packed = layer_bytes(),
            .workspace = layers_.front()->workspace_bytes(),
            .arguments = call.argument_bytes(),
            .peak = peak_resident_bytes() - call.argument_bytes()};
  }

 private:
  /// Memory of the arguments of a call.
  struct Call {
    Call(const Shape& shape, std::int64_t token_count)
        : tokens(token_count),
          hidden_size(shape.hidden_size),
          hidden_states(static_cast<std::size_t>(tokens * hidden_size)),
          out(hidden_states.size()),
          routing(tokens, shape.num_experts, shape.top_k) {
      fill_random(hidden_states.data(), hidden_states.size(), 7, medium_bf16);
    }

    /// Seconds of one call.
    double apply(tools::BoundLayer& layer, const AnyExecutor& executor) {
      using Clock = std::chrono::steady_clock;
      const MutableTokensView results(reinterpret_cast<std::byte*>(out.data()), DType::bf16, tokens, hidden_size,
                                      hidden_size);
      const TokensView rows(reinterpret_cast<const std::byte*>(hidden_states.data()), DType::bf16, tokens, hidden_size,
                            hidden_size);
      const Clock::time_point start = Clock::now();
      layer.apply(results, rows, routing.topk_weights(), routing.topk_ids(), executor);
      return std::chrono::duration<double>(Clock::now() - start).count();
    }

    std::size_t argument_bytes() const {
      return 2 * sizeof(std::uint16_t) * out.size() +
             8 * static_cast<std::size_t>(routing.topk_ids().rows * routing.topk_ids().columns);
    }

    /// A kernel that computes nothing is fast.
    void require_sound_output() const {
      std::size_t zeros = 0;
      for (const std::uint16_t bits : out) {
        if ((bits & 0x7F80) == 0x7F80) raise<Error>("the kernel's output has infinities or NaNs");
        zeros += (bits & 0x7FFF) == 0 ? 1 : 0;
      }
      if (2 * zeros > out.size()) raise<Error>("the kernel's output is mostly zeros");
    }

    std::int64_t tokens;
    std::int64_t hidden_size;
    std::vector<std::uint16_t> hidden_states;
    std::vector<std::uint16_t> out;
    RandomRouting routing;
  };

  /// The next call must not find experts of the last one in a cache: two layers at least where memory allows it. A
  /// shape for trying the program out stays in the caches.
  bool enough() const {
    constexpr std::size_t most_layers = 40;
    const std::size_t bytes = layers_.size() * layer_bytes();
    return layers_.size() == most_layers || (bytes >= least_bytes && (layers_.size() >= 2 || bytes >= 2 * least_bytes));
  }

  /// What must come from memory at least: the experts that are touched, the tokens, and the output. An expert counts
  /// in its packed size, or in the checkpoint's where a kernel format inflates it: that does not move the limit.
  double bytes_of(const RandomRouting& routing, std::int64_t tokens) const {
    const double expert = std::min(expert_bytes(), static_cast<double>(checkpoint_expert_bytes_));
    const double weights = expert * static_cast<double>(routing.experts_touched());
    const double activations = 2.0 * sizeof(std::uint16_t) * static_cast<double>(tokens * shape_.hidden_size);
    return weights + activations + 8.0 * static_cast<double>(tokens * shape_.top_k);
  }

  CellResult cell(std::int64_t tokens, int threads, const Ceilings& ceilings, const std::vector<double>& seconds,
                  const std::vector<double>& bytes, const OneDnnLayer* peer,
                  const std::vector<double>& peer_seconds) const {
    CellResult result{.tokens = tokens,
                      .threads = threads,
                      .repetitions = static_cast<int>(seconds.size()),
                      .ms = 1e3 * median(seconds),
                      .bytes = median(bytes),
                      .flops = shape_.flops(tokens),
                      .ceilings = ceilings};
    result.peak = scheme_.computes_in_int8() ? ceilings.int8_tops : ceilings.bf16_tflops;
    result.t_min_ms = 1e3 * std::max(result.bytes / (1e9 * ceilings.read_gbps), result.flops / (1e12 * result.peak));
    if (peer != nullptr) result.onednn_ms = 1e3 * median(peer_seconds);
    return result;
  }

  Shape shape_;
  MeasuredScheme scheme_;
  CpuFeatures level_;
  std::size_t checkpoint_expert_bytes_ = 0;
  std::vector<std::unique_ptr<tools::BoundLayer>> layers_;
};

}  // namespace polymoe::bench
