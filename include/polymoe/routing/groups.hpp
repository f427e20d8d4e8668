// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "polymoe/routing/scores.hpp"

namespace polymoe::inline POLYMOE_ISA::routing::detail {

/// The sum of the two greatest of n keys; of one, that one.
template <FloatVector V>
inline double sum_of_two_greatest(const double* keys, std::int64_t n) noexcept {
  using L = Lanes<double, V>;
  if (n == 1) return keys[0];
  L first(least<double>);
  L second(least<double>);
  std::int64_t i = 0;
  for (; i + lanes<double, V> <= n; i += lanes<double, V>) {
    const L key = load_lanes<L>(keys + i);
    const auto leads = key > first;
    second = greater(choose(leads, first, key), second);
    first = choose(leads, key, first);
  }
  double greatest = least<double>;
  double next = least<double>;
  const auto insert = [&](double key) {
    next = greater(key > greatest ? greatest : key, next);
    greatest = greater(key, greatest);
  };
  if constexpr (std::same_as<L, double>) {
    greatest = first;
    next = second;
  } else {
    double lane_keys[2 * L::size];
    first.store_unaligned(lane_keys);
    second.store_unaligned(lane_keys + L::size);
    for (const double key : lane_keys) insert(key);
  }
  for (; i < n; ++i) insert(keys[i]);
  return greatest + next;
}

/// Leaves the experts of the topk_group groups with the greatest score; the keys of the others become absent. A group
/// of consecutive experts has score(its keys, its size); of equal groups the lower one stays.
template <FloatVector V, class T, class Score>
inline void keep_best_groups(const RoutingRow& row, T* keys, Score score) noexcept {
  const std::int64_t n_group = row.parameters.n_group;
  if (row.parameters.topk_group >= n_group) return;
  const std::int64_t size = row.num_experts / n_group;
  T* const group_scores = row.scratch.groups<T>();
  for (std::int64_t group = 0; group < n_group; ++group) {
    const T value = score(keys + group * size, size);
    group_scores[group] = value == value ? value : least<T>;
  }
  take_largest<V>(group_scores, n_group, std::int64_t{row.parameters.topk_group}, row.scratch.maxima<T>(),
                  [](std::int64_t, std::int64_t) {});
  for (std::int64_t group = 0; group < n_group; ++group) {
    const bool kept = !(group_scores[group] == group_scores[group]);  // taken, and so absent
    if (!kept) std::fill_n(keys + group * size, size, absent<T>);
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::routing::detail
