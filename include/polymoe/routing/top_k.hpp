// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "polymoe/routing/row.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

/// Numbers of T (float or double) in a register as wide as V; one number where V is float.
template <class T, FloatVector V>
struct LanesOf {
  using type = xsimd::batch<T, vector::Arch<V>>;
  static constexpr std::int64_t size = static_cast<std::int64_t>(type::size);
};
template <class T>
struct LanesOf<T, float> {
  using type = T;
  static constexpr std::int64_t size = 1;
};
template <class T, FloatVector V>
using Lanes = typename LanesOf<T, V>::type;
template <class T, FloatVector V>
inline constexpr std::int64_t lanes = LanesOf<T, V>::size;

namespace detail {

template <class T>
inline constexpr T absent = std::numeric_limits<T>::quiet_NaN();
template <class T>
inline constexpr T least = -std::numeric_limits<T>::infinity();

template <class L, class T>
[[gnu::always_inline]] inline L load_lanes(const T* p) noexcept {
  if constexpr (std::same_as<L, T>) {
    return *p;
  } else {
    return L::load_unaligned(p);
  }
}

/// The greater of two, where a NaN loses.
template <class L>
[[gnu::always_inline]] inline L greater(L x, L running) noexcept {
  if constexpr (std::floating_point<L>) {
    return x > running ? x : running;
  } else {
    return xsimd::select(x > running, x, running);
  }
}

/// The greatest lane; there is no NaN among them.
template <class T, class L>
[[gnu::always_inline]] inline T horizontal_maximum(L x) noexcept {
#if defined(__AVX512F__)
  if constexpr (sizeof(L) == 64 && std::same_as<T, float>) return _mm512_reduce_max_ps(x);
  if constexpr (sizeof(L) == 64 && std::same_as<T, double>) return _mm512_reduce_max_pd(x);
#endif
  if constexpr (std::same_as<L, T>) {
    return x;
  } else {
    T values[L::size];
    x.store_unaligned(values);
    T result = values[0];
    for (std::size_t i = 1; i < L::size; ++i) result = values[i] > result ? values[i] : result;
    return result;
  }
}

/// The index of the first of n keys that equals `value`; n where none does.
template <FloatVector V, class T>
inline std::int64_t first_equal(const T* keys, std::int64_t n, T value) noexcept {
  using L = Lanes<T, V>;
  std::int64_t i = 0;
  for (; i + lanes<T, V> <= n; i += lanes<T, V>) {
    const auto equal = load_lanes<L>(keys + i) == L(value);
    if constexpr (std::same_as<L, T>) {
      if (equal) return i;
    } else {
#if defined(__AVX512F__)
      if constexpr (sizeof(L) == 64) {
        const unsigned bits = equal.data;
        if (bits != 0) return i + std::countr_zero(bits);
        continue;
      }
#endif
      if (xsimd::any(equal)) break;
    }
  }
  while (i < n && !(keys[i] == value)) ++i;
  return i;
}

/// The greatest of n keys, absent ones left out; `least` of none.
template <FloatVector V, class T>
inline T maximum(const T* keys, std::int64_t n) noexcept {
  using L = Lanes<T, V>;
  L running(least<T>);
  std::int64_t i = 0;
  for (; i + lanes<T, V> <= n; i += lanes<T, V>) running = greater(load_lanes<L>(keys + i), running);
  T result = horizontal_maximum<T>(running);
  for (; i < n; ++i) result = greater(keys[i], result);
  return result;
}

}  // namespace detail

/// Calls chosen(j, index) for j = 0..k-1 with the indices of the k greatest of n keys, the greatest first, equal ones
/// by rising index. A NaN stands for a key that is not there; where fewer than k are there it ends early. Returns the
/// number of calls. The keys are spent: those that were chosen are absent afterwards. `maxima` is room for ceil(n /
/// experts_per_block) numbers.
///
/// A choice costs the search of one block and a look at the maxima of all: about 60 cycles with 128 experts.
template <FloatVector V, class T, class Chosen>
inline std::int64_t take_largest(T* keys, std::int64_t n, std::int64_t k, T* maxima, Chosen chosen) noexcept {
  const std::int64_t blocks = detail::block_count(n);
  const auto maximum_of = [&](std::int64_t block) {
    const std::int64_t begin = block * experts_per_block;
    return detail::maximum<V>(keys + begin, std::min(experts_per_block, n - begin));
  };
  for (std::int64_t block = 0; block < blocks; ++block) maxima[block] = maximum_of(block);
  for (std::int64_t j = 0; j < k; ++j) {
    std::int64_t index = -1;
    while (index < 0) {
      std::int64_t best = -1;
      T greatest = detail::absent<T>;
      for (std::int64_t block = 0; block < blocks; ++block) {
        if (maxima[block] > greatest || (best < 0 && maxima[block] >= detail::least<T>)) {
          best = block;
          greatest = maxima[block];
        }
      }
      if (best < 0) break;
      const std::int64_t begin = best * experts_per_block;
      const std::int64_t length = std::min(experts_per_block, n - begin);
      const std::int64_t found = detail::first_equal<V>(keys + begin, length, greatest);
      if (found == length) {  // the block has nothing left: its maximum was that of an empty set
        maxima[best] = detail::absent<T>;
        continue;
      }
      index = begin + found;
      keys[index] = detail::absent<T>;
      maxima[best] = maximum_of(best);
    }
    if (index < 0) return j;
    chosen(j, index);
  }
  return k;
}

/// Fills row.ids by the row's keys [E], which are spent. Where too few experts are there (their groups were left out),
/// the others follow, the lowest first: ids are always in range and distinct.
template <FloatVector V, class T>
inline void choose_experts(const RoutingRow& row, T* keys) noexcept {
  std::int32_t* const ids = row.ids;
  const std::int64_t found =
      take_largest<V>(keys, row.num_experts, row.top_k, row.scratch.maxima<T>(),
                      [ids](std::int64_t j, std::int64_t expert) { ids[j] = static_cast<std::int32_t>(expert); });
  std::int64_t filled = found;
  for (std::int32_t expert = 0; filled < row.top_k; ++expert) {
    if (std::find(ids, ids + found, expert) == ids + found) ids[filled++] = expert;
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::routing
