// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// z * sigmoid(z).
struct SiluNoMul {
  static constexpr bool gated = false;
  static constexpr Activation activation = Activation::silu_no_mul;

  explicit constexpr SiluNoMul(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V z) const noexcept {
    return times_sigmoid(z, z);
  }
};

static_assert(ActivationFunctor<SiluNoMul>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
