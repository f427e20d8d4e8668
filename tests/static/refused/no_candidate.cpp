// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// A layer that nobody serves: the error names the candidates and the reason of each.
// MESSAGE: no MoE backend supports this configuration
// MESSAGE: ReferenceModular
// MESSAGE: AmxBf16Modular
// MESSAGE: Avx512Bf16Modular
// MESSAGE: SimdModular
// MESSAGE: CPU kernels have no LoRA
// MESSAGE: no CPU kernel computes a gated relu2
#include "polymoe/polymoe.hpp"

constexpr polymoe::FusedMoEConfig adapted{
    .num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64, .is_lora_enabled = true};
using Adapted = polymoe::SelectKernel<adapted, polymoe::quant::Unquantized, polymoe::target::sapphire_rapids>;
Adapted* adapted_kernel = nullptr;

constexpr polymoe::FusedMoEConfig squared{
    .num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64, .activation = polymoe::Activation::relu2};
using Squared = polymoe::SelectKernel<squared, polymoe::quant::Fp8Block128, polymoe::target::sapphire_rapids>;
Squared* squared_kernel = nullptr;
