// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>
#include <type_traits>

#include "polymoe/config/fixed_string.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/oracle/backend_names.hpp"
#include "polymoe/oracle/foreign_experts.hpp"
#include "polymoe/oracle/selection.hpp"
#include "polymoe/quant/quant_config.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/target/native.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

namespace detail {

template <class Candidate, FusedMoEConfig config, quant::Scheme Scheme>
constexpr auto experts_of() {
  if constexpr (!is_foreign<Candidate>()) {
    return std::type_identity<typename Candidate::template experts<config, Scheme>>{};
  } else if constexpr (foreign_experts<Candidate>::is_bound) {
    return std::type_identity<typename foreign_experts<Candidate>::template experts<config, Scheme>>{};
  } else {
    return std::type_identity<void>{};
  }
}

}  // namespace detail

/// A candidate's experts class for a layer; void where it is a foreign one that the engine has not bound.
template <class Candidate, FusedMoEConfig config, quant::Scheme Scheme>
using experts_of = typename decltype(detail::experts_of<Candidate, config, Scheme>())::type;

/// The members that every oracle offers, made from its table. `Scheme` is the scheme that is meant where none is named.
template <OracleTable Table, quant::Scheme DefaultScheme>
struct Oracle {
  using table = Table;

  /// Every backend that the oracle knows.
  using backends = typename Table::backends;

  /// The experts classes of a backend, monolithic before modular before batched.
  template <class Backend>
  using kernel_classes = typename Table::template kernel_classes<Backend>;

  /// Backends for a config on a target, best first.
  template <FusedMoEConfig config, Target on = target::native, quant::Scheme S = DefaultScheme>
  using priority_backends = typename Selection<Table, config, S::keys, on>::priority_backends;

  /// The first candidate that supports the config: `backend`, `candidate` and `experts`. An error that names every
  /// candidate with its reason where there is none.
  template <FusedMoEConfig config, Target on = target::native, quant::Scheme S = DefaultScheme>
  struct select_backend {
    using candidate = typename Selection<Table, config, S::keys, on>::candidate;
    using backend = typename candidate::backend;
    /// void where it is a foreign one that the engine has not bound.
    using experts = experts_of<candidate, config, S>;
  };

  /// The backend's tag for a user-facing name, at compile time: decltype(map_backend<"amx_bf16">()).
  template <FixedString requested>
  static constexpr auto map_backend() {
    constexpr std::optional<std::size_t> index = map_backend(requested.view());
    static_assert(index.has_value(), "polymoe: this oracle knows no backend of that name");
    return boost::mp11::mp_at_c<backends, *index>{};
  }

  /// The index in `backends` of a user-facing name, at run time; nothing where the oracle knows no such backend. Where
  /// a name stands for several variants of one backend, the preferred one.
  static constexpr std::optional<std::size_t> map_backend(std::string_view requested) {
    const BackendName name(requested);
    if constexpr (requires { Table::named(name); }) {
      const BackendList list = Table::named(name);
      return list.size == 0 ? std::nullopt : std::optional<std::size_t>(list.index[0]);
    } else {
      return index_of_name<backends>(name);
    }
  }

  /// All candidates' answers, for any machine.
  static constexpr Explanation explain(const FusedMoEConfig& config, const QuantKeys& keys, const Target& on) {
    return explain_selection<Table>(config, keys, on);
  }

  /// Why no experts class of `Backend` serves the layer: the reason of the one whose form the config asks for. Empty
  /// where one does.
  template <class Backend>
  static constexpr std::string_view refusal_of(const FusedMoEConfig& config, const QuantKeys& keys, const Target& on) {
    const Explanation answers = explain_selection<OneBackend<Table, Backend>>(config, keys, on);
    if (answers.found()) return {};
    for (const Verdict& verdict : answers) {
      if (verdict.candidate.is_monolithic == config.expects_router_logits &&
          verdict.candidate.activation_format == config.activation_format()) {
        return verdict.support.reason();
      }
    }
    return answers.size > 0 ? answers.verdicts[0].support.reason() : "the oracle has no such backend";
  }

  /// The experts class of `Backend` that serves a config; an error with the reasons where none does.
  template <class Backend, FusedMoEConfig config, Target on = target::native, quant::Scheme S = DefaultScheme>
  using candidate_of = typename Selection<OneBackend<Table, Backend>, config, S::keys, on>::candidate;

  /// Checks shapes, types and presence of every tensor that the scheme needs, and refuses what it does not.
  template <quant::Scheme S = DefaultScheme>
  static QuantConfig make_quant_config(const MoECheckpoint& checkpoint, Activation activation = Activation::silu,
                                       const ActivationParameters& parameters = {}) {
    return quant::make_quant_config<S>(checkpoint, activation, parameters);
  }
};

/// What architecture.md asks of an oracle.
template <class O>
concept MoEKernelOracle = OracleTable<typename O::table> &&
    requires(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target, std::string_view name) {
  typename O::backends;
  { O::map_backend(name) } -> std::same_as<std::optional<std::size_t>>;
  { O::explain(config, keys, target) } -> std::same_as<Explanation>;
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
