// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/activation/functor.hpp"
#include "polymoe/activation/math.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// (up + 1) * gate * sigmoid(alpha * gate), after gate := min(gate, L) and up := clamp(up, -L, L) (gpt-oss).
struct SwigluOai {
  static constexpr bool gated = true;
  static constexpr Activation activation = Activation::swigluoai;

  explicit constexpr SwigluOai(const ActivationParameters& parameters = {})
      : alpha_(parameters.alpha), limit_(effective_limit(activation, parameters)) {}

  template <FloatVector V>
  [[gnu::always_inline]] V apply(V gate, V up) const noexcept {
    const V g = vector::at_most(gate, V(limit_));
    const V u = vector::clamp(up, V(limit_));
    const auto [product, rounding] = detail::two_product(V(alpha_), g);
    // Where the exponential saturates the rounding does not count, and may be a NaN.
    const V low = vector::select<V>(vector::abs(product) < V(128.0F), rounding, V(0.0F));
    return (u + V(1.0F)) * times_sigmoid(g, product, low);
  }

 private:
  float alpha_;
  float limit_;
};

static_assert(ActivationFunctor<SwigluOai>);

}  // namespace polymoe::inline POLYMOE_ISA::activation
