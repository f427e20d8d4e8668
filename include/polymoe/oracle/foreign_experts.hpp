// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe {

namespace detail {

/// Instantiated only to fail; the compiler prints the candidate, and with it the class, beside the sentence.
template <class Candidate, FusedMoEConfig, quant::Scheme>
struct UnboundExperts {
  static_assert(
      sizeof(Candidate) == 0,
      "polymoe: the launcher of this candidate is the engine's. The engine provides a header, customarily "
      "polymoe_bindings/CLASS.hpp with the class that stands beside, that specializes polymoe::foreign_experts "
      "for it; include it before the kernel is selected (docs/selection.md, Binding)");
  using type = void;
};

}  // namespace detail

/// The one place where an engine attaches its launcher to a candidate whose kernel is not in this library:
///
///     template <>
///     struct polymoe::foreign_experts<MyCandidate> {
///       static constexpr bool is_bound = true;
///       template <FusedMoEConfig config, quant::Scheme Scheme>
///       using experts = MyExperts<config, Scheme>;   // what experts/reference.hpp offers, with the engine's memory
///       static Target target();                      // the machine that the launcher runs on
///     };
///
/// A candidate is vllm::On<Backend, Class>, so a partial specialization binds a class for all its backends.
template <class Candidate>
struct foreign_experts {
  static constexpr bool is_bound = false;

  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = typename detail::UnboundExperts<Candidate, config, Scheme>::type;
};

}  // namespace polymoe
