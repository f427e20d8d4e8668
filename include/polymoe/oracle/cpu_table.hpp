// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>
#include <cstddef>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/oracle/backend_list.hpp"
#include "polymoe/oracle/cpu_backends.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// The CPU's backends for a family of schemes, best first. The order does not depend on the layer: a backend that
/// cannot serve it refuses, and the next is asked.
template <class... Backends>
struct CpuTable {
  using backends = boost::mp11::mp_list<Backends...>;

  template <class Backend>
  using kernel_classes = typename CpuKernelClasses<Backend>::type;

  static constexpr BackendList priority(const FusedMoEConfig&, const QuantKeys&, const Target&) {
    BackendList order;
    for (std::size_t i = 0; i < sizeof...(Backends); ++i) order.push_back(i);
    return order;
  }
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
