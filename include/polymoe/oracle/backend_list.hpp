// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace polymoe::oracle {

/// Backends in order of preference, as indices into an oracle's list `backends`. A value that a constexpr function
/// makes from config and target; the types are looked up afterwards.
struct BackendList {
  static constexpr std::size_t capacity = 32;

  std::array<std::uint8_t, capacity> index{};
  std::size_t size = 0;

  constexpr void push_back(std::size_t backend) { index[size++] = static_cast<std::uint8_t>(backend); }

  constexpr bool contains(std::size_t backend) const { return position(backend) < size; }

  constexpr void remove(std::size_t backend) {
    const std::size_t at = position(backend);
    if (at == size) return;
    for (std::size_t i = at; i + 1 < size; ++i) index[i] = index[i + 1];
    --size;
  }

  constexpr void move_to_front(std::size_t backend) {
    if (!contains(backend)) return;
    remove(backend);
    for (std::size_t i = size; i > 0; --i) index[i] = index[i - 1];
    index[0] = static_cast<std::uint8_t>(backend);
    ++size;
  }

  constexpr void move_to_back(std::size_t backend) {
    if (!contains(backend)) return;
    remove(backend);
    push_back(backend);
  }

  /// Puts `other` in the place of `backend`.
  constexpr void replace(std::size_t backend, std::size_t other) {
    if (contains(backend)) index[position(backend)] = static_cast<std::uint8_t>(other);
  }

  bool operator==(const BackendList&) const = default;

 private:
  constexpr std::size_t position(std::size_t backend) const {
    std::size_t at = 0;
    while (at < size && index[at] != backend) ++at;
    return at;
  }
};

}  // namespace polymoe::oracle
