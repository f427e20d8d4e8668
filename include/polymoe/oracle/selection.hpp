// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>

#include "polymoe/config/fixed_string.hpp"
#include "polymoe/oracle/candidate.hpp"
#include "polymoe/oracle/explanation.hpp"
#include "polymoe/oracle/plan.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// What a table must say to be made an oracle: its backends, the experts classes of each, and whom to ask in which
/// order: a BackendList where that is all, a Plan where a layer is refused early or keys change on the way.
template <class T>
concept OracleTable = requires(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
  typename T::backends;
  { T::priority(config, keys, target) } -> std::convertible_to<Plan>;
};

/// The candidates of a table, backend by backend.
template <OracleTable Table>
using all_candidates =
    boost::mp11::mp_apply<boost::mp11::mp_append,
                          boost::mp11::mp_transform<Table::template kernel_classes, typename Table::backends>>;

namespace detail {

/// A table's candidates as values: those of backend b are [first[b], first[b + 1]).
template <class Table>
struct Catalog {
  static constexpr std::size_t backend_count = boost::mp11::mp_size<typename Table::backends>::value;

  static constexpr auto candidates = []<class... Candidates>(boost::mp11::mp_list<Candidates...>) {
    return std::array<CandidateInfo, sizeof...(Candidates)>{candidate_info<Candidates>...};
  }(all_candidates<Table>{});

  static constexpr auto first = []<class... Backends>(boost::mp11::mp_list<Backends...>) {
    std::array<std::size_t, backend_count + 1> result{};
    std::size_t at = 0;
    ((result[at + 1] = result[at] + boost::mp11::mp_size<typename Table::template kernel_classes<Backends>>::value,
      ++at),
     ...);
    return result;
  }(typename Table::backends{});
};

}  // namespace detail

/// Asks every candidate, in the order of priority. Values in, values out: works for machines that this one is not.
template <OracleTable Table>
constexpr Explanation explain_selection(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
  using Catalog = detail::Catalog<Table>;
  const Plan plan = Table::priority(config, keys, target);
  Explanation explanation;
  for (std::size_t i = 0; i < plan.size && !explanation.failed(); ++i) {
    const Step& step = plan.steps[i];
    QuantKeys asked = keys;
    if (step.own_activation_key) asked.activation = step.activation_key;
    for (std::size_t c = Catalog::first[step.backend]; c < Catalog::first[step.backend + 1u]; ++c) {
      const CandidateInfo& candidate = Catalog::candidates[c];
      explanation.add(candidate, step.asked ? candidate.supports(config, asked, target) : Support{}, asked, c);
      if (explanation.failed() || !step.asked) break;
    }
  }
  if (!explanation.found() && !explanation.failed()) {
    explanation.failure = {.kind = plan.otherwise, .message = plan.message};
  }
  return explanation;
}

/// A table cut down to one backend: what pinning asks.
template <OracleTable Table, class Backend>
struct OneBackend {
  using backends = boost::mp11::mp_list<Backend>;
  template <class B>
  using kernel_classes = typename Table::template kernel_classes<B>;
  static constexpr BackendList priority(const FusedMoEConfig&, const QuantKeys&, const Target&) {
    BackendList list;
    list.push_back(0);
    return list;
  }
};

namespace detail {

/// Never defined: a call to it cannot be evaluated.
void no_moe_backend_supports_this_configuration();

#if defined(__clang__)
inline constexpr bool text_is_shown_in_template_arguments = false;
#else
inline constexpr bool text_is_shown_in_template_arguments = true;
#endif

/// Clang prints the arguments of a call that cannot be evaluated, and string literals among them as text.
constexpr bool refused(const char* candidate, const char* reason) {
  if (candidate != nullptr && reason != nullptr) no_moe_backend_supports_this_configuration();
  return true;
}

/// GCC prints template arguments, and arrays of characters among them as text.
template <FixedString candidate, FixedString reason>
struct Refusal {};

/// Instantiated only to fail.
template <class... Refusals>
struct NoMoEBackend {
  static_assert(sizeof...(Refusals) == 0,
                "polymoe: no MoE backend supports this configuration; each candidate is named with its reason");
};

}  // namespace detail

/// The outcome of a selection at compile time.
template <OracleTable Table, FusedMoEConfig config, QuantKeys keys, Target on>
struct Selection {
  static constexpr Plan plan = Table::priority(config, keys, on);
  static constexpr Explanation explanation = explain_selection<Table>(config, keys, on);
  static constexpr bool found = explanation.found();

  /// An mp_list of backends, best first.
  using priority_backends = decltype([]<std::size_t... i>(std::index_sequence<i...>) {
    return boost::mp11::mp_list<boost::mp11::mp_at_c<typename Table::backends, plan.steps[i].backend>...>{};
  }(std::make_index_sequence<plan.size>{}));

 private:
  /// For Clang; it stops after twenty errors, so those of the form that the config asks for are reported first.
  template <bool of_the_form, std::size_t i>
  static constexpr auto report() {
    constexpr Verdict verdict = explanation.verdicts[i];
    constexpr bool fits = verdict.candidate.is_monolithic == config.expects_router_logits &&
                          verdict.candidate.activation_format == config.activation_format();
    static_assert(of_the_form != fits || detail::refused(verdict.candidate.experts.data(), verdict.support.refusal),
                  "polymoe: a candidate refuses this configuration; the reason stands beside its name");
    return i;
  }

  template <std::size_t i>
  static constexpr auto refusal_at() {
    constexpr Verdict verdict = explanation.verdicts[i];
    constexpr FixedString<verdict.candidate.experts.size()> candidate(verdict.candidate.experts);
    constexpr FixedString<verdict.support.reason().size()> reason(verdict.support.reason());
    return std::type_identity<detail::Refusal<candidate, reason>>{};
  }

  template <std::size_t... i>
  static constexpr auto refuse(std::index_sequence<i...>) {
    constexpr FixedString<std::string_view(explanation.failure.message).size()> message(
        std::string_view(explanation.failure.message));
    if constexpr (!detail::text_is_shown_in_template_arguments) {
      static_cast<void>(((report<true, i>() + ...) + (report<false, i>() + ...)));
    }
    return std::type_identity<detail::NoMoEBackend<detail::Refusal<FixedString("selection"), message>,
                                                   typename decltype(refusal_at<i>())::type...>>{};
  }

  static constexpr auto select() {
    if constexpr (found) {
      constexpr std::size_t index = explanation.verdicts[explanation.selected].index;
      return std::type_identity<boost::mp11::mp_at_c<all_candidates<Table>, index>>{};
    } else {
      using failure = typename decltype(refuse(std::make_index_sequence<explanation.size>{}))::type;
      static_assert(sizeof(failure) > 0);
      return std::type_identity<void>{};
    }
  }

 public:
  /// The first candidate that supports the config; an error that names all candidates where there is none.
  using candidate = typename decltype(select())::type;
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
