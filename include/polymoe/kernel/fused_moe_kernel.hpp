// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "polymoe/config/error.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/kernel/checks.hpp"
#include "polymoe/kernel/resolve_layer.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/oracle/candidate.hpp"
#include "polymoe/prepare_finalize/no_dp_ep.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA {

/// One MoE layer, ready to run: a prepare/finalize strategy and an experts class, put together. Everything that can be
/// known was decided when the type was made; what is left to run time was read once, by the constructor.
///
/// A kernel is immutable and may be used by several threads at a time, each with a workspace of its own. It views the
/// packed weights and the spans of LayerParameters, which must outlive it.
template <FusedMoEConfig config, quant::Scheme Scheme, oracle::Candidate Candidate_,
          class PrepareFinalize = prepare_finalize::NoDpEp>
class FusedMoEKernel {
 public:
  using candidate = Candidate_;
  using backend = typename candidate::backend;
  using scheme = Scheme;
  using experts = typename candidate::template experts<config, Scheme>;
  using prepare_finalize = PrepareFinalize;
  using kernel_format = typename experts::kernel_format;

  static_assert(candidate::activation_format == PrepareFinalize::activation_format,
                "polymoe: the prepare/finalize strategy delivers another activation format than the experts take");

  /// Packs a checkpoint's weights, scales and biases for this kernel. `shared` holds the shared experts as a checkpoint
  /// of its own; they follow the others. Raises polymoe::Error where the tensors are not those of the scheme.
  template <Executor E = SerialExecutor>
  static PackedWeights convert_to_kernel_format(const MoECheckpoint& checkpoint, E&& executor = {},
                                                const MoECheckpoint& shared = {}) {
    PackedWeights weights = allocate_kernel_format(checkpoint, shared);
    const std::int64_t experts = weights.view().header().num_experts;
    const std::int64_t local_experts = experts - weights.view().header().num_shared_experts;
    const auto convert = [&](std::int64_t to, auto& workers) {
      const bool is_local = to < local_experts;
      convert_expert(weights, to, is_local ? checkpoint : shared, is_local ? to : to - local_experts, workers);
    };
    if (experts < executor.concurrency()) {
      for (std::int64_t e = 0; e < experts; ++e) convert(e, executor);
    } else {
      // An expert for each worker: they write memory that is new, and far from each other none waits for pages of another.
      executor.parallel_for(experts, [&](std::int64_t e, int) {
        SerialExecutor alone;
        convert(e, alone);
      });
    }
    return weights;
  }

  /// Memory for the packed experts of a checkpoint; convert_expert fills it one by one, so that a checkpoint that is
  /// read piece by piece needs no more memory than the packed weights and one expert.
  static PackedWeights allocate_kernel_format(const MoECheckpoint& checkpoint, const MoECheckpoint& shared = {}) {
    static_cast<void>(quant::make_quant_config<Scheme>(checkpoint, config.activation));
    LayerShape shape = quant::checkpoint_shape<Scheme>(checkpoint);
    check_against_config(shape);
    if (shared.w13.weight.present()) {
      static_cast<void>(quant::make_quant_config<Scheme>(shared, config.activation));
      const LayerShape other = quant::checkpoint_shape<Scheme>(shared);
      if (other.hidden_size != shape.hidden_size || other.intermediate_size != shape.intermediate_size ||
          other.gated != shape.gated) {
        raise_mismatch("shared w13_weight", quant::describe(shared.w13.weight),
                       "the sizes of w13_weight " + quant::describe(checkpoint.w13.weight));
      }
      if (storage_of<Scheme>(shared) != storage_of<Scheme>(checkpoint)) {
        raise_mismatch("shared w13_weight", quant::describe(shared.w13.weight),
                       "the types, groups, biases and zero points of the other experts");
      }
      shape.num_shared_experts = other.num_local_experts;
    }
    if (shape.num_shared_experts != config.num_shared_experts) {
      raise_mismatch("num_shared_experts", std::to_string(shape.num_shared_experts),
                     std::to_string(config.num_shared_experts) + " (the config)");
    }
    const Storage storage = storage_of<Scheme>(checkpoint);
    return PackedWeights(kernel_format::name(), Scheme::name(), shape, storage,
                         kernel_format::expert_bytes(shape, storage));
  }

  /// Packs expert `from` of a checkpoint as packed expert `to`.
  template <Executor E = SerialExecutor>
  static void convert_expert(PackedWeights& weights, std::int64_t to, const MoECheckpoint& checkpoint,
                             std::int64_t from, E&& executor = {}) {
    const LayerShape shape = quant::checkpoint_shape<Scheme>(checkpoint);
    kernel_format::pack_expert(weights.expert(to), quant::expert_checkpoint<Scheme>(checkpoint, from, shape), shape,
                               storage_of<Scheme>(checkpoint), executor);
  }

  /// Raises polymoe::Error where the weights are of another format, scheme or size, or the parameters do not fit, and
  /// polymoe::UnsupportedError where this machine or this layer is not what the candidate serves.
  FusedMoEKernel(PackedWeightsView weights, const QuantConfig& quant_config, const LayerParameters& parameters = {})
      : experts_(weights, detail::resolve_layer(config, check_format(weights), quant_config, parameters)) {
    if constexpr (candidate::is_monolithic) detail::require_routable(layer());
    require_support(detail::resolved_config(config, layer()));
  }

  const Layer& layer() const noexcept { return experts_.layer(); }

  /// Bytes of workspace for calls of up to `max_tokens` tokens on `concurrency` workers.
  std::size_t workspace_size(std::int64_t max_tokens, int concurrency = 1) const noexcept {
    return PrepareFinalize::workspace_size(experts_, max_tokens, concurrency);
  }

  /// out[T, H] = the layer of hidden_states[T, H] with the given experts [T, k]. `out` may be hidden_states' memory.
  /// Raises polymoe::Error before any work where an argument does not fit; does not allocate, lock or throw otherwise.
  template <Executor E = SerialExecutor>
  requires(!candidate::is_monolithic) void apply(const MutableTokensView& out, const TokensView& hidden_states,
                                                 const MatrixView<const float>& topk_weights,
                                                 const MatrixView<const std::int32_t>& topk_ids,
                                                 const WorkspaceView& workspace, E&& executor = {}) const {
    const LayerShape& shape = layer().shape;
    check_tokens(out, hidden_states);
    checks::require_matrix("topk_weights", topk_weights, hidden_states.rows, shape.top_k);
    checks::require_matrix("topk_ids", topk_ids, hidden_states.rows, shape.top_k);
    // A foreign launcher may be given memory that this processor cannot read.
    if constexpr (!oracle::is_foreign<candidate>()) checks::require_ids("topk_ids", topk_ids, shape.num_experts);
    run(ModularArguments{out, hidden_states, topk_weights, topk_ids}, workspace, executor);
  }

  /// out[T, H] = the layer of hidden_states[T, H], routed by router_logits[T, E].
  template <Executor E = SerialExecutor>
  requires(candidate::is_monolithic) void apply(const MutableTokensView& out, const TokensView& hidden_states,
                                                const TokensView& router_logits, const WorkspaceView& workspace,
                                                E&& executor = {}) const {
    check_tokens(out, hidden_states);
    check_logits(hidden_states, router_logits);
    run(MonolithicArguments{out, hidden_states, router_logits}, workspace, executor);
  }

  /// The same, and tells what was chosen: chosen_weights and chosen_ids are [T, k].
  template <Executor E = SerialExecutor>
  requires(candidate::is_monolithic) void apply(const MutableTokensView& out, const TokensView& hidden_states,
                                                const TokensView& router_logits,
                                                const MatrixView<float>& chosen_weights,
                                                const MatrixView<std::int32_t>& chosen_ids,
                                                const WorkspaceView& workspace, E&& executor = {}) const {
    check_tokens(out, hidden_states);
    check_logits(hidden_states, router_logits);
    checks::require_matrix("chosen_weights", chosen_weights, hidden_states.rows, layer().shape.top_k);
    checks::require_matrix("chosen_ids", chosen_ids, hidden_states.rows, layer().shape.top_k);
    run(MonolithicArguments{out, hidden_states, router_logits, chosen_weights, chosen_ids}, workspace, executor);
  }

 private:
  template <class Arguments, Executor E>
  void run(const Arguments& arguments, const WorkspaceView& workspace, E& executor) const {
    const std::int64_t tokens = arguments.hidden_states.rows;
    if (tokens == 0) return;
    checks::require_workspace(workspace, workspace_size(tokens, executor.concurrency()));
    PrepareFinalize::apply(experts_, arguments, workspace.memory, executor);
  }

  void check_tokens(const MutableTokensView& out, const TokensView& hidden_states) const {
    const std::int64_t hidden_size = layer().shape.hidden_size;
    checks::require_tokens("hidden_states", hidden_states, config.in_dtype, hidden_states.rows, hidden_size);
    checks::require_tokens("out", out, DType::runtime, hidden_states.rows, hidden_size);
    if constexpr (config.in_dtype == DType::runtime) {
      FusedMoEConfig resolved = detail::resolved_config(config, layer());
      resolved.in_dtype = hidden_states.dtype;
      require_support(resolved);
    }
  }

  void check_logits(const TokensView& hidden_states, const TokensView& router_logits) const {
    checks::require_tokens("router_logits", router_logits, DType::runtime, hidden_states.rows,
                           layer().shape.num_experts);
  }

  static void require_support(const FusedMoEConfig& resolved) {
    static const Target here = [] {
      if constexpr (oracle::is_foreign<candidate>()) {
        return candidate::target();
      } else {
        return target::detect();
      }
    }();
    if (const Support support = candidate::supports(resolved, Scheme::keys, here); !support) {
      raise<UnsupportedError>(std::string(backend::name()) +
                              " does not support this layer: " + std::string(support.reason()));
    }
  }

  static void check_against_config(const LayerShape& shape) {
    detail::resolve_extent("hidden_size", config.hidden_size, shape.hidden_size);
    detail::resolve_extent("intermediate_size", config.intermediate_size, shape.intermediate_size);
  }

  static PackedWeightsView check_format(PackedWeightsView weights) {
    if (reinterpret_cast<std::uintptr_t>(weights.data()) % workspace_alignment != 0) {
      raise_mismatch("weights", "memory that is not aligned", "64-byte alignment");
    }
    if (weights.data() == nullptr || weights.header().magic != PackedWeightsHeader::expected_magic ||
        weights.header().version != PackedWeightsHeader::expected_version) {
      raise_mismatch("weights", "no packed weights of this version", "those of convert_to_kernel_format");
    }
    const std::string_view format = weights.header().format_name();
    const std::string_view scheme = weights.header().scheme_name();
    if (format != kernel_format::name() || scheme != Scheme::name()) {
      raise_mismatch("weights", std::string(format) + " of " + std::string(scheme),
                     std::string(kernel_format::name()) + " of " + std::string(Scheme::name()));
    }
    check_header(weights.header());
    return weights;
  }

  /// The sizes in the header are those of a layer, and the experts are as far apart as such a layer's.
  static void check_header(const PackedWeightsHeader& header) {
    checks::require_packed_sizes("weights", header);
    const LayerShape shape{
        .hidden_size = header.hidden_size, .intermediate_size = header.intermediate_size, .gated = header.gated != 0};
    if (const std::size_t expected = kernel_format::expert_bytes(shape, header.storage);
        header.expert_bytes != expected) {
      raise_mismatch("weights", std::to_string(header.expert_bytes) + " bytes an expert", std::to_string(expected));
    }
  }

  experts experts_;
};

}  // namespace polymoe::inline POLYMOE_ISA
