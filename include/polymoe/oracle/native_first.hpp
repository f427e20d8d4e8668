// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/mp11/utility.hpp>
#include <cstddef>
#include <cstdint>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/oracle/backend_list.hpp"
#include "polymoe/oracle/backend_names.hpp"
#include "polymoe/oracle/candidate.hpp"
#include "polymoe/oracle/plan.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// This library's own table and vLLM's as one. On a CPU its own backends are asked, elsewhere vLLM's, and vLLM's
/// everywhere under selection::vllm_parity.
template <class Native, class Vllm>
struct NativeFirst {
  using backends = boost::mp11::mp_append<typename Native::backends, typename Vllm::backends>;

  template <class Backend>
  using is_native = boost::mp11::mp_contains<typename Native::backends, Backend>;

  template <class Backend>
  using kernel_classes =
      typename boost::mp11::mp_if<is_native<Backend>, boost::mp11::mp_defer<Native::template kernel_classes, Backend>,
                                  boost::mp11::mp_defer<Vllm::template kernel_classes, Backend>>::type;

  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    if (target.platform == Platform::cpu && config.selection == SelectionPolicy::native_first) {
      if (config.moe_backend.is_auto()) return Native::priority(config, keys, target);
      if (const auto requested = index_of_name<typename Native::backends>(config.moe_backend)) {
        return Plan{}
            .ask(*requested)
            .or_else(FailureKind::value_error, "the requested backend does not support the configuration");
      }
    }
    Plan plan = Vllm::priority(config, keys, target);
    for (std::size_t i = 0; i < plan.size; ++i) {
      plan.steps[i].backend = static_cast<std::uint8_t>(plan.steps[i].backend + native_count);
    }
    return plan;
  }

  /// The backends that a user-facing name stands for.
  static constexpr BackendList named(const BackendName& name) {
    BackendList list;
    if (const auto native = index_of_name<typename Native::backends>(name)) list.push_back(*native);
    const BackendList others = Vllm::named(name);
    for (std::size_t i = 0; i < others.size; ++i) list.push_back(others.index[i] + native_count);
    return list;
  }

 private:
  static constexpr std::size_t native_count = boost::mp11::mp_size<typename Native::backends>::value;
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
