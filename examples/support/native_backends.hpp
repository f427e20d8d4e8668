// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>
#include <boost/mp11/map.hpp>
#include <type_traits>

#include "polymoe/target/backend.hpp"
#include "polymoe/target/cpu_features.hpp"

namespace polymoe::tools {

template <CpuFeatures level, class... Backends>
using LevelBackends =
    boost::mp11::mp_list<std::integral_constant<CpuFeatures, level>, boost::mp11::mp_list<Backends...>>;

/// The backends that are compiled for a level: those that need its instructions and no more.
template <CpuFeatures level>
using NativeBackends = boost::mp11::mp_second<boost::mp11::mp_map_find<
    boost::mp11::mp_list<
        LevelBackends<isa_level::portable, backend::Reference>, LevelBackends<isa_level::sse42, backend::SimdSse42>,
        LevelBackends<isa_level::avx2, backend::SimdAvx2>, LevelBackends<isa_level::avx512, backend::SimdAvx512>,
        LevelBackends<isa_level::avx512_bf16, backend::Avx512Bf16, backend::Avx512Vnni>,
        LevelBackends<isa_level::amx, backend::AmxBf16, backend::AmxInt8>,
        LevelBackends<isa_level::neon64, backend::Reference, backend::SimdNeon64>>,
    std::integral_constant<CpuFeatures, level>>>;

}  // namespace polymoe::tools
