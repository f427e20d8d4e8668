// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// What vLLM's experts classes accept: facts that selection does not show by itself.

#include <boost/mp11/list.hpp>

#include "polymoe/oracle/fp8.hpp"
#include "polymoe/oracle/unquantized.hpp"
#include "polymoe/oracle/vllm/all_experts.hpp"

namespace polymoe {
namespace {

using namespace oracle::vllm;

static_assert(boost::mp11::mp_size<all_experts>::value == 43);

using Aiter = On<backend::Aiter, AiterExperts>;
using FlashInfer = On<backend::FlashInferCutlass, FlashInferExperts>;

constexpr FusedMoEConfig one_rank{};
constexpr FusedMoEConfig behind_mori{
    .parallel = {.dp_size = 2, .ep_size = 2, .use_ep = true, .all2all_backend = All2AllBackend::mori}};
constexpr QuantKeys block{quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128, ActivationMode::faithful};
constexpr QuantKeys tensor{quant_key::fp8_static_tensor, quant_key::fp8_static_tensor, ActivationMode::faithful};

static_assert(Aiter::expects_unquantized_inputs(one_rank, block));
static_assert(!Aiter::expects_unquantized_inputs(behind_mori, block), "MoRI sends quantized rows");
static_assert(FlashInfer::expects_unquantized_inputs(one_rank, block) &&
              !FlashInfer::expects_unquantized_inputs(one_rank, tensor));

static_assert(!TritonOrCutlassExperts::facts.has_lora && TritonExperts::facts.has_lora, "LoRA is not handed on");
static_assert(
    !TritonOrCutlassExperts::facts.takes_parallel(
        {.dp_size = 2, .ep_size = 2, .use_ep = true, .all2all_backend = All2AllBackend::deepep_high_throughput}),
    "both halves must take the exchange");

/// The policy decides whose order a CPU follows; elsewhere there is one.
constexpr std::string_view backend_of(SelectionPolicy policy, const Target& target) {
  return oracle::Unquantized::explain({.selection = policy}, {}, target).selection().backend;
}
static_assert(backend_of(selection::native_first, target::sapphire_rapids) == "amx_bf16");
static_assert(backend_of(selection::vllm_parity, target::sapphire_rapids) == "CPU");
static_assert(backend_of(selection::native_first, target::hopper) ==
              backend_of(selection::vllm_parity, target::hopper));

/// A native name is understood beside vLLM's.
static_assert(
    oracle::Unquantized::explain({.moe_backend = "simd_avx2"}, {}, target::sapphire_rapids).selection().backend ==
    "simd_avx2");
static_assert(oracle::Unquantized::map_backend("flashinfer_trtllm").has_value());
static_assert(oracle::Fp8::map_backend("cutlass").has_value() && !oracle::Fp8::map_backend("humming").has_value());

}  // namespace
}  // namespace polymoe
