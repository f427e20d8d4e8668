// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>

#include "polymoe/target/backend.hpp"
#include "polymoe/target/cpu_features.hpp"

namespace polymoe::tools {

/// The backends that are compiled for a level: those that need its instructions and no more.
template <CpuFeatures level>
struct NativeBackends {
  using type = boost::mp11::mp_list<>;
};

template <>
struct NativeBackends<isa_level::portable> {
  using type = boost::mp11::mp_list<backend::Reference>;
};
template <>
struct NativeBackends<isa_level::neon64> {
  using type = boost::mp11::mp_list<backend::Reference>;
};

}  // namespace polymoe::tools
