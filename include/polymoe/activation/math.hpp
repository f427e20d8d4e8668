// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>

#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// exp, sigmoid, tanh, erf and the tail of the normal distribution on vectors of fp32, each within 4 ulp where the
// result is not subnormal (numerics.md, section 2), with IEEE results for infinities and NaN. xsimd 8.1 has its own
// exp, erf and tanh; they are not used because their errors, and what they make of a NaN, differ from architecture to
// architecture.

namespace polymoe::inline POLYMOE_ISA::activation {

using vector::FloatVector;

namespace detail {

/// c[0] + x * (c[1] + x * (c[2] + ...)), lowest coefficient first.
template <FloatVector V, class... Rest>
[[gnu::always_inline]] inline V polynomial(V x, float first, Rest... rest) noexcept {
  if constexpr (sizeof...(Rest) == 0) {
    return V(first);
  } else {
    return vector::multiply_add(x, polynomial(x, rest...), V(first));
  }
}

/// |x| with the sign of `sign`; x is not negative.
template <FloatVector V>
[[gnu::always_inline]] inline V with_sign(V x, V sign) noexcept {
  using I = vector::Int<V>;
  return vector::from_bits<V>(vector::to_bits(x) | (vector::to_bits(sign) & I(INT32_MIN)));
}

/// x with the lower half of its significand cleared: products of two such numbers are exact.
template <FloatVector V>
[[gnu::always_inline]] inline V upper_half(V x) noexcept {
  return vector::from_bits<V>(vector::to_bits(x) & vector::Int<V>(~0xFFF));
}

/// x * y rounded, and what the rounding left out.
template <FloatVector V>
[[gnu::always_inline]] inline std::pair<V, V> two_product(V x, V y) noexcept {
  const V product = x * y;
  if constexpr (vector::has_fused_multiply_add) {
    return {product, vector::multiply_add(x, y, -product)};
  } else {
    const V xh = upper_half(x);
    const V yh = upper_half(y);
    const V xl = x - xh;
    const V yl = y - yh;
    return {product, ((xh * yh - product) + xh * yl + xl * yh) + xl * yl};
  }
}

/// e^(x + low), where low is so small beside x that x + low rounds to x. Where x is infinite, low is finite.
template <FloatVector V>
[[gnu::always_inline]] inline V exp_of_sum(V x, V low) noexcept {
  // Beyond these the result is infinite or 0 anyway; within, the integer n fits.
  const V bounded = vector::at_least(vector::at_most(x, V(89.0F)), V(-104.0F));
  // x = n ln 2 + r with |r| <= ln 2 / 2. The sum with 1.5 * 2^23 rounds to an integer and leaves it in the lower bits.
  const V shifted = vector::multiply_add(bounded, V(1.44269504F), V(0x1.8p23F));
  const V n = shifted - V(0x1.8p23F);
  // ln 2 in two parts; n times the first is exact.
  const V r = vector::multiply_add(n, V(2.12194440e-4F), vector::multiply_add(n, V(-0.693359375F), bounded)) + low;
  // Least maximum of the relative error, 3e-9, on |r| <= 0.348.
  const V q = polynomial(r, 0x1.fffffcp-2F, 0x1.55549p-3F, 0x1.5558fcp-5F, 0x1.123b9ap-7F, 0x1.6a215ap-10F);
  const V power = vector::multiply_add(r, vector::multiply_add(r, q, V(1.0F)), V(1.0F));
#if defined(__AVX512F__)
  if constexpr (vector::detail::is_avx512<V>) return _mm512_scalef_ps(power, n);
#endif
  // 2^n in two factors: n reaches from -150 to 128, further than the exponents of normal numbers.
  using I = vector::Int<V>;
  const I whole = vector::to_bits(shifted) - vector::to_bits(V(0x1.8p23F));
  const I half = whole >> 1;
  const V first = vector::from_bits<V>((half + I(127)) << 23);
  const V second = vector::from_bits<V>((whole - half + I(127)) << 23);
  return power * first * second;
}

/// x / (1 + e) for e in [0, infinity].
template <FloatVector V>
[[gnu::always_inline]] inline V divide_by_one_plus(V x, V e) noexcept {
  const V divisor = V(1.0F) + e;
#if defined(__AVX512F__)
  if constexpr (vector::detail::is_avx512<V>) {
    // A division of 16 numbers keeps the divider busy for 16 cycles. The estimate is good to 14 bits and one step of
    // Newton's makes it 28; where the divisor is infinite the step would make a NaN of 0.
    const __m512 estimate = _mm512_rcp14_ps(divisor);
    const __m512 correction = _mm512_fnmadd_ps(divisor, estimate, _mm512_set1_ps(2.0F));
    const __mmask16 not_infinite = _mm512_cmp_ps_mask(divisor, _mm512_set1_ps(INFINITY), _CMP_NEQ_UQ);
    return _mm512_mul_ps(x, _mm512_maskz_mul_ps(not_infinite, estimate, correction));
  }
#endif
  return x / divisor;
}

}  // namespace detail

/// e^x.
template <FloatVector V>
[[gnu::always_inline]] inline V exp(V x) noexcept {
  return detail::exp_of_sum(x, V(0.0F));
}

/// 1 / (1 + e^-z).
template <FloatVector V>
[[gnu::always_inline]] inline V sigmoid(V z) noexcept {
  return detail::divide_by_one_plus(V(1.0F), activation::exp(-z));
}

/// x * sigmoid(z + low) with one division.
template <FloatVector V>
[[gnu::always_inline]] inline V times_sigmoid(V x, V z, V low = V(0.0F)) noexcept {
  return detail::divide_by_one_plus(x, detail::exp_of_sum(-z, -low));
}

template <FloatVector V>
[[gnu::always_inline]] inline V tanh(V x) noexcept {
  const V a = vector::abs(x);
  const V s = x * x;
  const V p = detail::polynomial(s, -0.33333282F, 0.13331425F, -0.05373761F, 0.02063041F, -0.00569352F);
  const V near_zero = vector::multiply_add(a * s, p, a);
  const V far = V(1.0F) - V(2.0F) / (activation::exp(a + a) + V(1.0F));
  return detail::with_sign(vector::select<V>(a < V(0.625F), near_zero, far), x);
}

template <FloatVector V>
[[gnu::always_inline]] inline V erf(V x) noexcept {
  const V a = vector::abs(x);
  const V s = x * x;
  // erf(x) = x + x * p(x^2) below 1; 1 - e^p(x) above, where p fits log(erfc) and erfc(4) is lost beside 1.
  const V p = detail::polynomial(s, 0.12837917F, -0.376126271F, 0.112836002F, -0.0268544446F, 0.00518953545F,
                                 -8.02084226e-4F, 7.88912280e-5F);
  const V near_zero = vector::multiply_add(a, p, a);
  const V logarithm = detail::polynomial(vector::at_most(a, V(4.0F)), -2.56445707e-4F, -1.12742609F, -0.637600039F,
                                         -0.103566892F, 0.0220519973F, -0.00299954068F, 1.91504135e-4F);
  const V far = V(1.0F) - activation::exp(logarithm);
  return detail::with_sign(vector::select<V>(a < V(1.0F), near_zero, far), x);
}

/// The part of the standard normal distribution above |g|: erfc(|g| / sqrt 2) / 2, to 1e-6 of itself also where it is
/// small. 0 beyond 20.
template <FloatVector V>
[[gnu::always_inline]] inline V normal_tail(V g) noexcept {
  const V a = vector::at_most(vector::abs(g), V(20.0F));
  // -g^2 / 2 = high + low: rounded once it would cost the exponential five digits.
  const V upper = detail::upper_half(a);
  const V high = V(-0.5F) * upper * upper;
  const V low = V(-0.5F) * (a - upper) * (a + upper);
  // The tail divided by the density's exponential is smooth in t.
  const V t = V(1.0F) / vector::multiply_add(a, V(0.3F), V(1.0F));
  const V ratio =
      detail::polynomial(t, 7.06795005e-7F, 0.119670317F, 0.119735711F, 0.109301071F, 0.0817534925F, 0.0881516762F,
                         -0.0666452254F, 0.178246105F, -0.219082593F, 0.108888087F, -0.02001935F);
  return detail::exp_of_sum(high, low) * ratio;
}

}  // namespace polymoe::inline POLYMOE_ISA::activation
