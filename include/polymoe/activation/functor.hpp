// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>

#include "polymoe/config/activation.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

using vector::FloatVector;

/// An activation of numerics.md, section 2: built once per call from the layer's parameters, applied to vectors of fp32
/// or to single numbers. A gated one takes gate and up, the others one operand.
template <class F>
concept ActivationFunctor = std::constructible_from<F, const ActivationParameters&> && requires(const F f, float z) {
  { F::gated } -> std::convertible_to<bool>;
  { F::activation } -> std::convertible_to<Activation>;
  requires F::gated == is_gated(F::activation);
  requires requires {
    { f.apply(z, z) } -> std::same_as<float>;
  } ||(!F::gated && requires {
    { f.apply(z) } -> std::same_as<float>;
  });
};

}  // namespace polymoe::inline POLYMOE_ISA::activation
