// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <boost/mp11/map.hpp>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "polymoe/config/backend_name.hpp"
#include "polymoe/config/fixed_string.hpp"
#include "polymoe/oracle/plan.hpp"
#include "polymoe/oracle/vllm/backends.hpp"
#include "polymoe/oracle/vllm/experts_facts.hpp"

namespace polymoe::oracle::vllm {

/// A line of an oracle's table: the names by which users ask for a backend (words; none if they cannot), the backend,
/// its experts classes. Lines stand in the order of preference.
template <FixedString requested_as, class Backend, class... Classes>
struct Row {
  using backend = Backend;
  using kernel_classes = std::conditional_t<sizeof...(Classes) == 0, boost::mp11::mp_list<WithoutExperts<Backend>>,
                                            boost::mp11::mp_list<On<Backend, Classes>...>>;
  static constexpr std::string_view names = requested_as.view();
  static constexpr bool is_automatic = true;
};

/// A line that is never asked unless the user or a rule names its backend.
template <FixedString requested_as, class Backend, class... Classes>
struct OnRequest : Row<requested_as, Backend, Classes...> {
  static constexpr bool is_automatic = false;
};

/// A line as a value.
struct RowInfo {
  std::string_view names{};
  bool is_automatic = false;
  bool has_activation_key = false;
  QuantKey activation_key{};  ///< by which the backend quantizes activations, where it does so by itself

  /// True where `name` is one of the words of `names`.
  constexpr bool is_called(std::string_view name) const {
    for (std::size_t begin = 0; begin < names.size();) {
      std::size_t end = begin;
      while (end < names.size() && names[end] != ' ') ++end;
      if (names.substr(begin, end - begin) == name) return true;
      begin = end + 1;
    }
    return false;
  }
};

/// An oracle's table: what the selection engine reads, and the lists that its rules are made of.
template <class... Rows>
struct BackendTable {
  using backends = boost::mp11::mp_list<typename Rows::backend...>;

  template <class Backend>
  using kernel_classes = boost::mp11::mp_second<boost::mp11::mp_map_find<
      boost::mp11::mp_list<boost::mp11::mp_list<typename Rows::backend, typename Rows::kernel_classes>...>, Backend>>;

  template <class Backend>
  static constexpr std::size_t index_of = boost::mp11::mp_find<backends, Backend>::value;

  static constexpr std::array<RowInfo, sizeof...(Rows)> rows{[] {
    RowInfo row{.names = Rows::names, .is_automatic = Rows::is_automatic};
    if constexpr (requires { Rows::backend::activation_key; }) {
      row.has_activation_key = true;
      row.activation_key = Rows::backend::activation_key;
    }
    return row;
  }()...};

  /// All lines that are asked without being named, in the order of the table.
  static constexpr BackendList automatic() {
    BackendList list;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].is_automatic) list.push_back(i);
    }
    return list;
  }

  /// The lines of a user-facing name, in the order of the table.
  static constexpr BackendList named(const BackendName& name) {
    BackendList list;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].is_called(name.view())) list.push_back(i);
    }
    return list;
  }

  template <class... Backends>
  static constexpr BackendList list() {
    BackendList result;
    (result.push_back(index_of<Backends>), ...);
    return result;
  }

  template <class... Backends>
  static constexpr void remove(BackendList& order) {
    (order.remove(index_of<Backends>), ...);
  }

  /// A request for `Standard` means `Batched` where activations arrive in the batched format.
  template <class Standard, class Batched>
  static constexpr void swap_if_batched(BackendList& order, const FusedMoEConfig& config) {
    if (config.activation_format() == ActivationFormat::batched) {
      order.replace(index_of<Standard>, index_of<Batched>);
    }
  }

  /// Asks each backend with its own activation key.
  static constexpr Plan with_own_keys(const BackendList& order) {
    Plan plan;
    for (std::size_t i = 0; i < order.size; ++i) plan.ask(order.index[i], rows[order.index[i]].activation_key);
    return plan;
  }
};

/// One backend or none: a user's or a variable's word is law.
constexpr Plan only(const BackendList& order, const char* message) {
  return Plan(order).or_else(FailureKind::value_error, message);
}

/// VLLM_ROCM_USE_AITER or VLLM_ROCM_USE_AITER_MOE is set; on only if neither says no, and the first is no by default.
constexpr Switch aiter_switch(const Environment& environment) {
  if (!is_set(environment.rocm_use_aiter) && !is_set(environment.rocm_use_aiter_moe)) return Switch::unset;
  const bool on = value_or(environment.rocm_use_aiter, false) && value_or(environment.rocm_use_aiter_moe, true);
  return on ? Switch::on : Switch::off;
}

/// VLLM_FLASHINFER_MOE_BACKEND. Only datacenter Blackwell has the kernels that "latency" means; others get
/// throughput's.
constexpr FlashInferMoE flashinfer_choice(const Target& target) {
  const FlashInferMoE choice = target.environment.flashinfer_moe_backend;
  const bool blackwell = target.device_capability().major_version == 10;
  return choice == FlashInferMoE::latency && !blackwell ? FlashInferMoE::throughput : choice;
}

}  // namespace polymoe::oracle::vllm
