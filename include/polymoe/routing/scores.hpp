// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>

#include "polymoe/routing/top_k.hpp"

// Scores in double. The order of experts is the order of exact scores unless these round to the same fp32 number, so
// scores to which a bias was added must be better than fp32; and a sum of sigmoids that are tiny in fp32 must not
// vanish.

namespace polymoe::inline POLYMOE_ISA::routing::detail {

/// Lanes of double from as many fp32 numbers.
template <class L>
[[gnu::always_inline]] inline L load_doubles(const float* p) noexcept {
#if defined(__AVX512F__)
  if constexpr (sizeof(L) == 64) return _mm512_cvtps_pd(_mm256_loadu_ps(p));
#endif
#if defined(__AVX__)
  if constexpr (sizeof(L) == 32) return _mm256_cvtps_pd(_mm_loadu_ps(p));
#endif
  if constexpr (std::same_as<L, double>) {
    return static_cast<double>(*p);
  } else {
    double values[L::size];
    for (std::size_t i = 0; i < L::size; ++i) values[i] = static_cast<double>(p[i]);
    return L::load_unaligned(values);
  }
}

template <class L, class Mask>
[[gnu::always_inline]] inline L choose(Mask mask, L a, L b) noexcept {
  if constexpr (std::same_as<L, double>) {
    return mask ? a : b;
  } else {
    return xsimd::select(mask, a, b);
  }
}

/// c[0] + x * (c[1] + x * (c[2] + ...)).
template <class L, class... Rest>
[[gnu::always_inline]] inline L polynomial(L x, double first, Rest... rest) noexcept {
  if constexpr (sizeof...(Rest) == 0) {
    return L(first);
  } else {
    return L(first) + x * polynomial(x, rest...);
  }
}

/// e^x for x <= 0, to 1e-12 of itself; 0 below -708.
template <class L>
[[gnu::always_inline]] inline L exp_of_negative(L x) noexcept {
  const auto vanishes = x < L(-708.0);
  const L bounded = choose(vanishes, L(-708.0), x);
  // x = n ln 2 + r; adding 1.5 * 2^52 rounds to an integer and leaves it in the lower bits.
  const L shifted = bounded * L(1.4426950408889634) + L(0x1.8p52);
  const L r = bounded - (shifted - L(0x1.8p52)) * L(0.69314718055994531);
  const L power = polynomial(r, 1.0, 1.0, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
                             1.0 / 362880, 1.0 / 3628800);
  L result;
  if constexpr (std::same_as<L, double>) {
    result = std::bit_cast<double>(std::bit_cast<std::uint64_t>(power) + (std::bit_cast<std::uint64_t>(shifted) << 52));
  } else {
    using I = xsimd::batch<std::int64_t, typename L::arch_type>;
    result = xsimd::bitwise_cast<L>(xsimd::bitwise_cast<I>(power) + (xsimd::bitwise_cast<I>(shifted) << 52));
  }
  return choose(vanishes, L(0.0), result);
}

template <class L>
[[gnu::always_inline]] inline L magnitude(L x) noexcept {
  return choose(x < L(0.0), -x, x);
}

/// 1 / (1 + e^-z).
struct Sigmoid {
  template <class L>
  [[gnu::always_inline]] static L apply(L z) noexcept {
    const L e = exp_of_negative(-magnitude(z));
    return choose(z < L(0.0), e, L(1.0)) / (L(1.0) + e);
  }
};

/// sqrt(log(1 + e^z)).
struct SqrtSoftplus {
  template <class L>
  [[gnu::always_inline]] static L apply(L z) noexcept {
    const L e = exp_of_negative(-magnitude(z));
    // log(1 + e) = 2 artanh(e / (2 + e)): a series in s^2 <= 1/9 that keeps its digits where e is small.
    const L s = e / (L(2.0) + e);
    const L series = polynomial(s * s, 1.0, 1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17,
                                1.0 / 19, 1.0 / 21);
    const L softplus = choose(z > L(0.0), z, L(0.0)) + L(2.0) * s * series;
    const L kept = choose(z == z, softplus, z);  // a NaN may be lost in the comparisons above
    if constexpr (std::same_as<L, double>) {
      return std::sqrt(kept);
    } else {
      return xsimd::sqrt(kept);
    }
  }
};

/// keys[e] = Score(logits[e]) + bias[e] for all experts. A NaN becomes minus infinity: such an expert comes last.
template <FloatVector V, class Score>
inline void biased_scores(const RoutingRow& row, double* keys) noexcept {
  using L = Lanes<double, V>;
  const auto sanitized = [](auto key) { return choose(key == key, key, decltype(key)(least<double>)); };
  std::int64_t e = 0;
  for (; e + lanes<double, V> <= row.num_experts; e += lanes<double, V>) {
    L key = Score::template apply<L>(load_doubles<L>(row.logits + e));
    if (row.bias != nullptr) key = key + load_doubles<L>(row.bias + e);
    if constexpr (std::same_as<L, double>) {
      keys[e] = sanitized(key);
    } else {
      sanitized(key).store_unaligned(keys + e);
    }
  }
  for (; e < row.num_experts; ++e) {
    const double bias = row.bias != nullptr ? static_cast<double>(row.bias[e]) : 0.0;
    keys[e] = sanitized(Score::template apply<double>(static_cast<double>(row.logits[e])) + bias);
  }
}

/// keys[e] = logits[e]: what orders experts as every rising function of the logit does, and without rounding. A NaN
/// becomes minus infinity. Returns whether there was one.
template <FloatVector V>
inline bool logit_keys(const RoutingRow& row, float* keys) noexcept {
  V checksum(0.0F);  // becomes a NaN with the first
  std::int64_t e = 0;
  for (; e + lanes<float, V> <= row.num_experts; e += lanes<float, V>) {
    const V z = vector::load<V>(row.logits + e);
    checksum = vector::select<V>(z == z, checksum, z);
    vector::store(keys + e, vector::select<V>(z == z, z, V(least<float>)));
  }
  bool has_nan = !(vector::sum(checksum) == 0.0F);
  for (; e < row.num_experts; ++e) {
    const float z = row.logits[e];
    has_nan = has_nan || z != z;
    keys[e] = z == z ? z : least<float>;
  }
  return has_nan;
}

/// Fills row.ids by Score(logit) + bias. Without a bias the logits order the experts alike.
template <FloatVector V, class Score>
inline void choose_by_biased_score(const RoutingRow& row) noexcept {
  if (row.bias == nullptr) {
    float* const keys = row.scratch.keys<float>();
    logit_keys<V>(row, keys);
    choose_experts<V>(row, keys);
  } else {
    double* const keys = row.scratch.keys<double>();
    biased_scores<V, Score>(row, keys);
    choose_experts<V>(row, keys);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::routing::detail
