// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/gelu_no_mul.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// gate * (1 + erf(gate / sqrt 2)) / 2 * up.
struct Gelu {
  static constexpr bool gated = true;
  static constexpr Activation activation = Activation::gelu;

  explicit constexpr Gelu(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V gate, V up) const noexcept {
    return GeluNoMul{}.apply(gate) * up;
  }
};

static_assert(ActivationFunctor<Gelu>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
