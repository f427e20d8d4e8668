// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// min(gate * sigmoid(gate), L) * clamp(up, -L, L).
struct SwigluStep {
  static constexpr bool gated = true;
  static constexpr Activation activation = Activation::swiglustep;

  explicit constexpr SwigluStep(const ActivationParameters& parameters = {})
      : limit_(effective_limit(activation, parameters)) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V gate, V up) const noexcept {
    return vector::at_most(times_sigmoid(gate, gate), V(limit_)) * vector::clamp(up, V(limit_));
  }

 private:
  float limit_;
};

static_assert(ActivationFunctor<SwigluStep>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
