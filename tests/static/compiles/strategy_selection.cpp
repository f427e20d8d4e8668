// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/prepare_finalize/select_strategy.hpp"

namespace polymoe::prepare_finalize {
namespace {

constexpr ParallelConfig eight_ranks(All2AllBackend exchange) {
  return {.dp_size = 8, .ep_size = 8, .use_ep = true, .all2all_backend = exchange};
}

constexpr StrategyChoice choose(const ParallelConfig& parallel, const DispatchQuantization& quantization = {},
                                const Target& target = target::hopper) {
  return select_strategy({.parallel = parallel, .target = target, .quantization = quantization, .hidden_size = 2048});
}

constexpr DispatchQuantization fp8_block{.kind = DispatchQuantization::Kind::fp8, .block = {128, 128}};
constexpr DispatchQuantization mxfp4{.kind = DispatchQuantization::Kind::mxfp4};

static_assert(choose({}).strategy == &NoDPEPModular::facts, "one rank: nothing moves");
static_assert(choose({.tp_size = 4, .dp_size = 2}).strategy == &NaiveDPEPModular::facts, "no experts are spread");
static_assert(choose(eight_ranks(All2AllBackend::deepep_low_latency)).strategy == &DeepEPLowLatency::facts);
static_assert(!choose(eight_ranks(All2AllBackend::deepep_low_latency)).use_fp8_dispatch, "bf16 travels as it is");
static_assert(choose(eight_ranks(All2AllBackend::deepep_low_latency), fp8_block).use_fp8_dispatch);
static_assert(choose(eight_ranks(All2AllBackend::deepep_high_throughput)).num_dispatchers == 8);
static_assert(choose(eight_ranks(All2AllBackend::mori), fp8_block, target::mi300x).scale_elements == 16);
static_assert(choose(eight_ranks(All2AllBackend::mori)).failure == FailureKind::name_error, "no MoRI beside CUDA");
static_assert(choose(eight_ranks(All2AllBackend::flashinfer_nvlink_one_sided), mxfp4).failure ==
              FailureKind::not_implemented);
static_assert(choose(eight_ranks(All2AllBackend::pplx)).strategy == nullptr, "nobody implements it");

constexpr ParallelConfig low_latency = eight_ranks(All2AllBackend::deepep_low_latency);
static_assert(round_up_hidden_size(low_latency, target::hopper, 2880, DType::bf16).size == 3072);
static_assert(round_up_hidden_size(low_latency, target::hopper, 8193, DType::bf16).failure == FailureKind::value_error);
static_assert(
    round_up_hidden_size(eight_ranks(All2AllBackend::deepep_high_throughput), target::hopper, 2880, DType::f32).size ==
    2944);

}  // namespace
}  // namespace polymoe::prepare_finalize
