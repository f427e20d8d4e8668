// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// z * (1 + erf(z / sqrt 2)) / 2, which is z times the normal distribution's part below z.
struct GeluNoMul {
  static constexpr bool gated = false;
  static constexpr Activation activation = Activation::gelu_no_mul;

  explicit constexpr GeluNoMul(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V z) const noexcept {
    const V tail = normal_tail(z);
    return z * vector::select<V>(z < V(0.0F), tail, V(1.0F) - tail);
  }
};

static_assert(ActivationFunctor<GeluNoMul>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
