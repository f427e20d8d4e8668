// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cmath>
#include <cstdint>

#include "polymoe/config/activation.hpp"
#include "polymoe/target/isa_namespace.hpp"

// The judge's arithmetic: numerics.md, sections 1 and 2, in plain code. Nothing here is shared with the kernels that it
// judges.

namespace polymoe::inline POLYMOE_ISA::experts::reference {

/// min and max that keep a NaN in `x`.
template <class Real>
Real at_most(Real x, Real limit) {
  return x > limit ? limit : x;
}
template <class Real>
Real clamp(Real x, Real limit) {
  if (x > limit) return limit;
  return x < -limit ? -limit : x;
}

template <class Real>
Real sigmoid(Real z) {
  return Real(1) / (Real(1) + std::exp(-z));
}

/// act(g, u); u is ignored by the functions that are not gated.
template <class Real>
Real activate(Activation activation, const ActivationParameters& parameters, Real g, Real u) {
  const Real limit = effective_limit(activation, parameters);
  const auto erf_gelu = [](Real z) { return Real(0.5) * z * (Real(1) + std::erf(z / std::sqrt(Real(2)))); };
  const auto tanh_gelu = [](Real z) {
    const Real factor = std::sqrt(Real(2) / Real(3.14159265358979323846L));
    return Real(0.5) * z * (Real(1) + std::tanh(factor * (z + Real(0.044715L) * z * z * z)));
  };
  const auto silu = [](Real z) { return z * sigmoid(z); };
  switch (activation) {
    case Activation::silu: return silu(at_most(g, limit)) * clamp(u, limit);
    case Activation::gelu: return erf_gelu(g) * u;
    case Activation::gelu_tanh: return tanh_gelu(g) * u;
    case Activation::swigluoai: {
      const Real gate = at_most(g, limit);
      return (clamp(u, limit) + Real(1)) * gate * sigmoid(static_cast<Real>(parameters.alpha) * gate);
    }
    case Activation::swiglustep: return at_most(silu(g), limit) * clamp(u, limit);
    case Activation::silu_no_mul: return silu(g);
    case Activation::gelu_no_mul: return erf_gelu(g);
    case Activation::gelu_tanh_no_mul: return tanh_gelu(g);
    case Activation::relu2_no_mul: return g > Real(0) ? g * g : (g <= Real(0) ? Real(0) : g);
    case Activation::relu2:
    case Activation::runtime: break;
  }
  return Real(0);
}

/// Sequential dot product of n elements.
template <class Real>
Real dot(const Real* a, const Real* b, std::int64_t n) {
  Real sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace polymoe::inline POLYMOE_ISA::experts::reference
