// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// max(z, 0)^2.
struct Relu2NoMul {
  static constexpr bool gated = false;
  static constexpr Activation activation = Activation::relu2_no_mul;

  explicit constexpr Relu2NoMul(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V z) const noexcept {
    const V positive = vector::at_least(z, V(0.0F));
    return positive * positive;
  }
};

static_assert(ActivationFunctor<Relu2NoMul>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
