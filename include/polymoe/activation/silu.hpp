// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// gate * sigmoid(gate) * up, after gate := min(gate, L) and up := clamp(up, -L, L) where a limit L is given.
struct Silu {
  static constexpr bool gated = true;
  static constexpr Activation activation = Activation::silu;

  explicit constexpr Silu(const ActivationParameters& parameters = {})
      : limit_(effective_limit(activation, parameters)) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V gate, V up) const noexcept {
    const V g = vector::at_most(gate, V(limit_));
    return times_sigmoid(g, g) * vector::clamp(up, V(limit_));
  }

 private:
  float limit_;
};

static_assert(ActivationFunctor<Silu>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
