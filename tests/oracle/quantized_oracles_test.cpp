// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <boost/mp11/algorithm.hpp>
#include <concepts>
#include <string>

#include "polymoe/kernel/oracle_for.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe {
namespace {

static_assert(std::same_as<oracle_for<quant::Fp8Block128>, oracle::Fp8>);
static_assert(std::same_as<oracle_for<quant::Mxfp8A16>, oracle::MxFp8>);
static_assert(std::same_as<oracle_for<quant::Mxfp4>, oracle::MxFp4>);
static_assert(std::same_as<oracle_for<quant::NvFp4Faithful>, oracle::NvFp4>);
static_assert(std::same_as<oracle_for<quant::Int8Channel>, oracle::Int8>);
static_assert(std::same_as<oracle_for<quant::IntWna16<4, 128>>, oracle::IntWna16>);

constexpr FusedMoEConfig qwen3{.num_experts = 128, .top_k = 8, .hidden_size = 2048, .intermediate_size = 768};
constexpr FusedMoEConfig qwen3_f16{
    .num_experts = 128, .top_k = 8, .hidden_size = 2048, .intermediate_size = 768, .in_dtype = DType::f16};

template <class Scheme>
constexpr std::string_view selected(const FusedMoEConfig& config, const Target& target) {
  const oracle::Explanation answer = oracle_for<Scheme>::explain(config, Scheme::keys, target);
  return answer.found() ? answer.verdicts[answer.selected].candidate.backend : "nothing";
}

template <class Scheme>
constexpr std::string_view refusal(std::string_view backend, const FusedMoEConfig& config, const Target& target) {
  for (const oracle::Verdict& verdict : oracle_for<Scheme>::explain(config, Scheme::keys, target)) {
    if (verdict.candidate.backend == backend && !verdict.candidate.is_monolithic &&
        verdict.candidate.activation_format == config.activation_format()) {
      return verdict.support.reason();
    }
  }
  return "no such backend";
}

static_assert(selected<quant::Fp8Block128>(qwen3, target::sapphire_rapids) == "amx_bf16");
static_assert(selected<quant::Mxfp4>(qwen3, target::sapphire_rapids) == "amx_bf16");
static_assert(selected<quant::IntWna16<4, 128>>(qwen3, target::zen4) == "avx512_bf16");
static_assert(selected<quant::NvFp4>(qwen3, target::skylake_avx512) == "simd_avx512");
static_assert(selected<quant::Mxfp8>(qwen3, target::haswell) == "simd_avx2");
static_assert(selected<quant::Fp8Tensor>(qwen3, target::armv8) == "simd_neon64");
static_assert(selected<quant::Fp8Channel>(qwen3, target::portable) == "reference");
static_assert(selected<quant::Fp8Channel>(qwen3_f16, target::sapphire_rapids) == "simd_avx512");

// Integer arithmetic where both operands are int8, whatever the input comes as; 16 bits where the mode says so.
static_assert(selected<quant::Int8Channel>(qwen3, target::sapphire_rapids) == "amx_int8");
static_assert(selected<quant::Int8Channel>(qwen3_f16, target::sapphire_rapids) == "amx_int8");
static_assert(selected<quant::Int8Channel>(qwen3, target::zen4) == "avx512_vnni");
static_assert(selected<quant::Int8Channel>(qwen3, target::skylake_avx512) == "simd_avx512");
static_assert(selected<quant::Int8ChannelWide>(qwen3, target::sapphire_rapids) == "amx_bf16");
static_assert(selected<quant::Int8ChannelA16>(qwen3, target::zen4) == "avx512_bf16");

static_assert(refusal<quant::Int8Channel>("amx_bf16", qwen3, target::sapphire_rapids) ==
              "the activation key asks for integer products");
static_assert(refusal<quant::Int8ChannelWide>("amx_int8", qwen3, target::sapphire_rapids) ==
              "the activations are not to be quantized to int8, and the tiles take nothing else");
static_assert(refusal<quant::Int8Channel>("avx512_vnni", qwen3, target::haswell) == "the CPU has no AVX512-VNNI");

constexpr FusedMoEConfig batched{.num_experts = 8, .top_k = 2, .batched_activations = true};
static_assert(refusal<quant::Fp8TensorFaithful>("reference", batched, target::portable) ==
              "the activation scale is of all tokens, and batched experts see only their own");
static_assert(selected<quant::Fp8ChannelFaithful>(batched, target::portable) == "reference");

static_assert(std::same_as<decltype(oracle::Int8::map_backend<"amx_int8">()), backend::AmxInt8>);
static_assert(!oracle::Fp8::map_backend("amx_int8").has_value());

TEST(QuantizedOracles, find_somebody_for_every_scheme_on_every_cpu) {
  boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, quant::all_schemes>>([]<class S>(S) {
    using Scheme = typename S::type;
    for (const Target& target : {target::portable, target::x86_64_v2, target::haswell, target::skylake_avx512,
                                 target::zen4, target::sapphire_rapids, target::armv8}) {
      for (FusedMoEConfig config : {qwen3, qwen3_f16, any_layer}) {
        EXPECT_NE(selected<Scheme>(config, target), "nothing") << Scheme::name();
        config.expects_router_logits = true;
        EXPECT_NE(selected<Scheme>(config, target), "nothing") << Scheme::name();
      }
    }
  });
}

TEST(QuantizedOracles, know_every_backend_by_its_name) {
  for (const char* name : {"amx_bf16", "avx512_bf16", "simd_avx512", "simd_avx2", "simd_sse42", "reference"}) {
    EXPECT_TRUE(oracle::Fp8::map_backend(name).has_value()) << name;
    EXPECT_TRUE(oracle::MxFp8::map_backend(name).has_value()) << name;
    EXPECT_TRUE(oracle::MxFp4::map_backend(name).has_value()) << name;
    EXPECT_TRUE(oracle::NvFp4::map_backend(name).has_value()) << name;
    EXPECT_TRUE(oracle::Int8::map_backend(name).has_value()) << name;
    EXPECT_TRUE(oracle::IntWna16::map_backend(name).has_value()) << name;
  }
}

}  // namespace
}  // namespace polymoe
