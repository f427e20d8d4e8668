// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/gelu_tanh_no_mul.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// gate * (1 + tanh(sqrt(2 / pi) * (gate + 0.044715 * gate^3))) / 2 * up.
struct GeluTanh {
  static constexpr bool gated = true;
  static constexpr Activation activation = Activation::gelu_tanh;

  explicit constexpr GeluTanh(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V gate, V up) const noexcept {
    return GeluTanhNoMul{}.apply(gate) * up;
  }
};

static_assert(ActivationFunctor<GeluTanh>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
