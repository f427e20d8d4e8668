// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// z * (1 + tanh(y)) / 2 = z * sigmoid(2 y), y = sqrt(2 / pi) * (z + 0.044715 * z^3).
struct GeluTanhNoMul {
  static constexpr bool gated = false;
  static constexpr Activation activation = Activation::gelu_tanh_no_mul;

  explicit constexpr GeluTanhNoMul(const ActivationParameters& = {}) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V z) const noexcept {
    // Beyond 12 the sigmoid is 0 or 1. 2 y = g * (k1 + k2 * g^2) is kept as high + low: e^(2 y) would magnify the
    // rounding of a single number a hundredfold.
    constexpr float k1 = 1.5957691F;
    constexpr float k1_low = static_cast<float>(1.5957691216057308 - k1);
    constexpr float k2 = 0.07135482F;
    constexpr float k2_low = static_cast<float>(0.07135481627159826 - k2);
    const V g = vector::clamp(z, V(12.0F));
    const auto [square, square_low] = detail::two_product(g, g);
    const auto [term, term_low] = detail::two_product(V(k2), square);
    const V factor = V(k1) + term;
    const V rest = factor - V(k1);
    const V lost = (V(k1) - (factor - rest)) + (term - rest);
    const V factor_low =
        lost + (term_low + vector::multiply_add(V(k2), square_low, vector::multiply_add(V(k2_low), square, V(k1_low))));
    const auto [high, high_low] = detail::two_product(g, factor);
    return times_sigmoid(z, high, vector::multiply_add(g, factor_low, high_low));
  }
};

static_assert(ActivationFunctor<GeluTanhNoMul>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
