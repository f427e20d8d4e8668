// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Who is selected for what, as statements.
#include <string_view>
#include <type_traits>

#include "polymoe/polymoe.hpp"

namespace polymoe {
namespace {

constexpr FusedMoEConfig qwen3{.num_experts = 128, .top_k = 8, .hidden_size = 2048, .intermediate_size = 768};

constexpr FusedMoEConfig with(FusedMoEConfig config, auto change) {
  change(config);
  return config;
}
constexpr FusedMoEConfig qwen3_f16 = with(qwen3, [](auto& config) { config.in_dtype = DType::f16; });
constexpr FusedMoEConfig qwen3_f32 = with(qwen3, [](auto& config) { config.in_dtype = DType::f32; });
constexpr FusedMoEConfig qwen3_routed = with(qwen3, [](auto& config) { config.expects_router_logits = true; });
constexpr FusedMoEConfig qwen3_batched = with(qwen3, [](auto& config) { config.batched_activations = true; });

template <FusedMoEConfig config, class Scheme, Target target>
using selected = typename oracle_for<Scheme>::template select_backend<config, target, Scheme>;
template <FusedMoEConfig config, class Scheme, Target target, class Backend>
constexpr bool selects = std::is_same_v<typename selected<config, Scheme, target>::backend, Backend>;

// The most capable instruction set wins.
static_assert(selects<qwen3, quant::Unquantized, target::sapphire_rapids, backend::AmxBf16>);
static_assert(selects<qwen3, quant::Unquantized, target::zen4, backend::Avx512Bf16>);
static_assert(selects<qwen3, quant::Unquantized, target::skylake_avx512, backend::SimdAvx512>);
static_assert(selects<qwen3, quant::Unquantized, target::haswell, backend::SimdAvx2>);
static_assert(selects<qwen3, quant::Unquantized, target::x86_64_v2, backend::SimdSse42>);
static_assert(selects<qwen3, quant::Unquantized, target::armv8, backend::SimdNeon64>);
static_assert(selects<qwen3, quant::Unquantized, target::portable, backend::Reference>);

// fp16 and fp32 activations are never rounded to bf16.
static_assert(selects<qwen3_f16, quant::Unquantized, target::sapphire_rapids, backend::SimdAvx512>);
static_assert(selects<qwen3_f32, quant::Fp8Block128, target::sapphire_rapids, backend::SimdAvx512>);

// The form follows the config.
static_assert(selected<qwen3_routed, quant::Unquantized, target::haswell>::candidate::is_monolithic);
static_assert(!selected<qwen3, quant::Unquantized, target::haswell>::candidate::is_monolithic);
static_assert(selected<qwen3_batched, quant::Unquantized, target::haswell>::candidate::activation_format ==
              ActivationFormat::batched);

// Names are mapped to types and to indices.
static_assert(std::is_same_v<decltype(oracle::Unquantized::map_backend<"amx_bf16">()), backend::AmxBf16>);
static_assert(oracle::Unquantized::map_backend(std::string_view("reference")).has_value());
static_assert(!oracle::Unquantized::map_backend(std::string_view("amx_bf17")).has_value());

// A refusal has a reason, which can be asked for a machine that this is not.
static_assert(refusal<backend::AmxBf16, qwen3_f16, quant::Unquantized, target::sapphire_rapids> ==
              "activations are not bf16, and AMX would round them");
static_assert(refusal<backend::SimdAvx2, qwen3, quant::Unquantized, target::x86_64_v2> ==
              "the CPU has no AVX2 with FMA and F16C");
static_assert(refusal<backend::Reference, qwen3, quant::Unquantized, target::portable>.empty());

// Sizes may be left to run time, the backend is the same.
static_assert(selects<any_layer, quant::Unquantized, target::sapphire_rapids, backend::AmxBf16>);

}  // namespace
}  // namespace polymoe
