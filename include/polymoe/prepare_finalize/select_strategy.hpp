// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "polymoe/config/dtype.hpp"
#include "polymoe/config/failure_kind.hpp"
#include "polymoe/config/parallel_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/prepare_finalize/strategies.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/target.hpp"

/// Which strategy brings tokens to their experts: vLLM's maybe_make_prepare_finalize as a table.
namespace polymoe::inline POLYMOE_ISA::prepare_finalize {

/// How activations are quantized before they travel.
struct DispatchQuantization {
  enum class Kind : std::uint8_t { none, fp8, mxfp8, nvfp4, mxfp4, int8 };

  Kind kind = Kind::none;
  bool per_token = false;
  GroupShape block{};             ///< whole: no blocks
  std::int32_t mx_alignment = 1;  ///< mxfp8: rows are padded to a multiple of it

  constexpr bool is_fp8_block128() const { return kind == Kind::fp8 && block == GroupShape{128, 128}; }
};

/// What is asked.
struct StrategyRequest {
  ParallelConfig parallel{};
  Target target{};
  bool is_monolithic = false;
  bool allow_new_interface = true;                     ///< the caller knows the two strategies without a library
  std::optional<DispatchQuantization> quantization{};  ///< nothing: the caller did not say
  std::int64_t hidden_size = 0;
};

/// What is answered: a strategy with the numbers that it is built from, none, or a failure.
struct StrategyChoice {
  const StrategyFacts* strategy = nullptr;  ///< null: the caller keeps its own way
  std::int32_t num_dispatchers = 1;
  bool is_sequence_parallel = false;
  bool use_fp8_dispatch = false;
  std::int64_t scale_elements = 0;          ///< MoRI: scales that travel with a token
  std::int64_t dispatch_element_bytes = 0;  ///< one-sided NVLink: bytes of one element, 0 for fp4
  std::int64_t dispatch_scale_bytes = 0;    ///< one-sided NVLink: bytes of a token's scales
  FailureKind failure = FailureKind::none;
  const char* message = "";
};

namespace detail {

/// Ranks that take part: all of the expert-parallel group.
constexpr std::int32_t group_size(const ParallelConfig& parallel) {
  return parallel.use_ep ? parallel.ep_size : parallel.tp_size;
}

constexpr StrategyChoice fail(FailureKind kind, const char* message) {
  return {.failure = kind, .message = message};
}

constexpr StrategyChoice naive(const StrategyRequest& request) {
  return {.strategy = request.is_monolithic ? &NaiveDPEPMonolithic::facts : &NaiveDPEPModular::facts,
          .num_dispatchers = group_size(request.parallel),
          .is_sequence_parallel = request.parallel.sp_size > 1};
}

constexpr StrategyChoice no_exchange(const StrategyRequest& request) {
  if (!request.allow_new_interface) return {};
  if (request.parallel.dp_size > 1) return naive(request);
  return {.strategy = request.is_monolithic ? &NoDPEPMonolithic::facts : &NoDPEPModular::facts};
}

constexpr StrategyChoice allgather(const StrategyRequest& request) {
  return request.allow_new_interface ? naive(request) : StrategyChoice{};
}

constexpr StrategyChoice deep_ep_high_throughput(const StrategyRequest& request) {
  return {.strategy = &DeepEPHighThroughput::facts, .num_dispatchers = group_size(request.parallel)};
}

/// Fixed capacity: rows of 128 x 128 blocks travel as fp8, all others as they are.
template <const StrategyFacts& facts>
constexpr StrategyChoice fixed_capacity(const StrategyRequest& request) {
  return {.strategy = &facts,
          .num_dispatchers = group_size(request.parallel),
          .use_fp8_dispatch = request.quantization->is_fp8_block128()};
}

constexpr StrategyChoice mori(const StrategyRequest& request) {
  const DispatchQuantization& quantization = *request.quantization;
  const bool per_token = quantization.kind == DispatchQuantization::Kind::fp8 && quantization.per_token;
  const bool quantized = per_token || quantization.is_fp8_block128();
  return {.strategy = &Mori::facts,
          .num_dispatchers = group_size(request.parallel),
          .use_fp8_dispatch = quantized,
          .scale_elements = !quantized  ? 0
                            : per_token ? 1
                                        : request.hidden_size / 128};
}

constexpr StrategyChoice nvlink_two_sided(const StrategyRequest& request) {
  return {.strategy = &FlashInferNVLinkTwoSided::facts, .num_dispatchers = group_size(request.parallel)};
}

constexpr StrategyChoice nvlink_one_sided(const StrategyRequest& request) {
  using Kind = DispatchQuantization::Kind;
  const DispatchQuantization& quantization = *request.quantization;
  StrategyChoice choice{.strategy = &FlashInferNVLinkOneSided::facts, .num_dispatchers = group_size(request.parallel)};
  switch (quantization.kind) {
    case Kind::none: choice.dispatch_element_bytes = 2; return choice;
    case Kind::nvfp4: choice.dispatch_scale_bytes = request.hidden_size / 16; return choice;
    case Kind::mxfp8: {
      const std::int64_t alignment = quantization.mx_alignment;
      choice.dispatch_element_bytes = 1;
      choice.dispatch_scale_bytes = (request.hidden_size + alignment - 1) / alignment * alignment / 32;
      return choice;
    }
    default: return fail(FailureKind::not_implemented, "one-sided NVLink sends bf16, mxfp8 and nvfp4 only");
  }
}

/// One line of the table: what a layer's exchange is called, what it needs, how it is set up.
struct StrategyRow {
  All2AllBackend exchange;
  bool needs_quantization;         ///< the caller must say how activations are quantized
  std::optional<Library> library;  ///< without it the strategy has not even a name
  StrategyChoice (*choose)(const StrategyRequest&);
};

inline constexpr std::array<StrategyRow, 8> strategy_table{{
    {All2AllBackend::deepep_high_throughput, false, Library::deep_ep, deep_ep_high_throughput},
    {All2AllBackend::deepep_low_latency, true, Library::deep_ep, fixed_capacity<DeepEPLowLatency::facts>},
    {All2AllBackend::mori, true, Library::mori, mori},
    {All2AllBackend::flashinfer_all2allv, true, std::nullopt, nvlink_two_sided},
    {All2AllBackend::flashinfer_nvlink_two_sided, true, std::nullopt, nvlink_two_sided},
    {All2AllBackend::flashinfer_nvlink_one_sided, true, std::nullopt, nvlink_one_sided},
    {All2AllBackend::allgather_reducescatter, false, std::nullopt, allgather},
    {All2AllBackend::nixl_ep, true, Library::nixl_ep, fixed_capacity<NixlEP::facts>},
}};

}  // namespace detail

/// The strategy for a layer; none for an exchange that no strategy implements (naive, pplx).
constexpr StrategyChoice select_strategy(const StrategyRequest& request) {
  if (!request.parallel.use_all2all_kernels()) return detail::no_exchange(request);
  for (const detail::StrategyRow& row : detail::strategy_table) {
    if (row.exchange != request.parallel.all2all_backend) continue;
    if (row.needs_quantization && !request.quantization) {
      return detail::fail(FailureKind::assertion_error, "the quantization of activations is not given");
    }
    if (row.library && !request.target.libraries.has(*row.library)) {
      return detail::fail(FailureKind::name_error, "the library of this exchange is not installed");
    }
    return row.choose(request);
  }
  return {};
}

/// A rounded size, or why there is none.
struct RoundedSize {
  std::int64_t size = 0;
  FailureKind failure = FailureKind::none;
};

/// The hidden size that an exchange carries: DeepEP sends multiples of 512 bytes, the fixed-capacity kernels are
/// compiled for eight sizes.
constexpr RoundedSize round_up_hidden_size(const ParallelConfig& parallel, const Target& target,
                                           std::int64_t hidden_size, DType dtype) {
  if (!parallel.use_all2all_kernels()) return {hidden_size};
  const auto has = [&](Library library) { return target.libraries.has(library); };
  switch (parallel.all2all_backend) {
    case All2AllBackend::deepep_high_throughput: {
      if (!has(Library::deep_ep)) return {0, FailureKind::name_error};
      const auto element = static_cast<std::int64_t>(size_of(dtype));
      return {(hidden_size * element + 511) / 512 * 512 / element};
    }
    case All2AllBackend::deepep_low_latency:
    case All2AllBackend::nixl_ep: {
      const bool nixl = parallel.all2all_backend == All2AllBackend::nixl_ep;
      if (!has(nixl ? Library::nixl_ep : Library::deep_ep)) return {0, FailureKind::name_error};
      for (const std::int64_t size : {2048, 2560, 3072, 4096, 5120, 6144, 7168, 8192}) {
        if (size >= hidden_size) return {size};
      }
      return {0, FailureKind::value_error};
    }
    default: return {hidden_size};
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::prepare_finalize
