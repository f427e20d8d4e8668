// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
// MESSAGE: the prepare/finalize strategy delivers another activation format than the experts take
#include "polymoe/polymoe.hpp"

constexpr polymoe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64};
using Standard = polymoe::PinKernel<layer, polymoe::quant::Unquantized, polymoe::backend::Reference>;
using Mixed = polymoe::FusedMoEKernel<layer, polymoe::quant::Unquantized, Standard::candidate,
                                      polymoe::prepare_finalize::Batched>;
std::size_t size = sizeof(Mixed);
