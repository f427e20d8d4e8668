// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// A kernel of a candidate whose launcher nobody bound: the error names the class and the header that the engine provides.
// MESSAGE: the launcher of this candidate is the engine's
// MESSAGE: polymoe_bindings/
// MESSAGE: FlashInferExperts
#include "polymoe/polymoe.hpp"

constexpr polymoe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64};
using Kernel = polymoe::SelectKernel<layer, polymoe::quant::Unquantized, polymoe::target::hopper>;
std::size_t size = sizeof(Kernel);
