// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/experts/reference.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Plain scalar code that runs anywhere and judges the others.
template <ExpertsForm form>
struct ReferenceExperts {
  using backend = polymoe::backend::Reference;
  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = polymoe::experts::Reference<form, Scheme>;

  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format = activation_format_of(form);
  static constexpr std::string_view name() {
    constexpr std::string_view names[]{"ReferenceMonolithic", "ReferenceModular", "ReferenceBatched"};
    return names[static_cast<int>(form)];
  }

  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    return first_refusal(cpu_requirements(form, config, keys, target));
  }
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
