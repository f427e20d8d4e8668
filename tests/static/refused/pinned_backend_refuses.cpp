// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// A pinned backend that cannot serve the layer: the error says why.
// MESSAGE: no MoE backend supports this configuration
// MESSAGE: AmxBf16Modular
// MESSAGE: activations are not bf16, and AMX would round them
// MESSAGE: Avx512Bf16Modular
// MESSAGE: the CPU has no AVX512-BF16
#include "polymoe/polymoe.hpp"

constexpr polymoe::FusedMoEConfig single{
    .num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64, .in_dtype = polymoe::DType::f32};
using OnTiles = polymoe::PinKernel<single, polymoe::quant::Unquantized, polymoe::backend::AmxBf16,
                                   polymoe::target::sapphire_rapids>;
OnTiles* on_tiles = nullptr;

constexpr polymoe::FusedMoEConfig half{.num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64};
using OnHaswell =
    polymoe::PinKernel<half, polymoe::quant::Unquantized, polymoe::backend::Avx512Bf16, polymoe::target::haswell>;
OnHaswell* on_haswell = nullptr;
