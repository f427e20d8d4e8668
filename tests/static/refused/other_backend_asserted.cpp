// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// An engine that asserts the backend that was selected hears of it when it is another.
// MESSAGE: this engine was measured with AMX
#include <type_traits>

#include "polymoe/polymoe.hpp"

constexpr polymoe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 64, .intermediate_size = 64};
using Selected = polymoe::oracle::Unquantized::select_backend<layer, polymoe::target::zen4>;
static_assert(std::is_same_v<Selected::backend, polymoe::backend::AmxBf16>, "this engine was measured with AMX");
