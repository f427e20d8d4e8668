// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#include "polymoe/target/isa_namespace.hpp"

// Every order in which codes or elements are packed permutes the bits of an index: the transposition of a matrix of
// powers of two takes the bits of the row and of the column in the other order. Interleaving the bytes of two vectors
// moves one bit of the index into the index within a vector and another one out of it, so that a few interleavings give
// any order. That is done in lanes of 16 bytes: there, interleaving is one instruction of every instruction set. Nibbles
// are exchanged among two vectors where the one of a byte is to be told by another bit of the index.

namespace polymoe::inline POLYMOE_ISA::layout {

/// Bit j of the index of what is written is bit order[j] of the index of what is read. What is read may have more bits:
/// those that no order names are 0.
template <std::size_t bits>
using BitOrder = std::array<std::uint8_t, bits>;

namespace detail {

using Lane [[gnu::vector_size(16)]] = std::uint8_t;
#if defined(__AVX2__)
inline constexpr std::size_t lanes = 2;
#else
inline constexpr std::size_t lanes = 1;
#endif
using Lanes [[gnu::vector_size(16 * lanes)]] = std::uint8_t;

inline constexpr std::size_t lane_bits = 4;   ///< of the index of a byte within a lane
inline constexpr std::size_t most_bits = 12;  ///< of the index of a byte
inline constexpr std::uint8_t nibble_bit = 15;

/// From where unit `to` of two interleaved vectors of `count` units comes; `last`: the second vector of the two.
constexpr int interleaved_unit(std::size_t to, std::size_t count, bool last) {
  const std::size_t in_lane = count / lanes;
  const std::size_t index = to % in_lane / 2 + (last ? in_lane / 2 : 0);
  return static_cast<int>(to % 2 * count + to / in_lane * in_lane + index);
}

/// Elements are units, so that compilers see which instruction it is.
template <class Unit, bool last, std::size_t... i>
[[gnu::always_inline]] inline Lanes interleave(Lanes a, Lanes b, std::index_sequence<i...>) noexcept {
  using Units [[gnu::vector_size(sizeof(Lanes))]] = Unit;
  return reinterpret_cast<Lanes>(__builtin_shufflevector(reinterpret_cast<Units>(a), reinterpret_cast<Units>(b),
                                                         interleaved_unit(i, sizeof...(i), last)...));
}

/// By units of 2^lane bytes.
template <std::size_t lane, bool last>
[[gnu::always_inline]] inline Lanes interleave(Lanes a, Lanes b) noexcept {
  using Unit = std::tuple_element_t<lane, std::tuple<std::uint8_t, std::uint16_t, std::uint32_t, std::uint64_t>>;
  return interleave<Unit, last>(a, b, std::make_index_sequence<sizeof(Lanes) / sizeof(Unit)>());
}

/// Vectors have no shifts of bytes.
using Words [[gnu::vector_size(sizeof(Lanes))]] = std::uint16_t;
[[gnu::always_inline]] inline Words in_words(Lanes v) noexcept {
  return reinterpret_cast<Words>(v);
}
[[gnu::always_inline]] inline Lanes in_bytes(Words v) noexcept {
  return reinterpret_cast<Lanes>(v);
}

template <std::size_t... i>
[[gnu::always_inline]] inline Lanes joined(Lane a, Lane b, std::index_sequence<i...>) noexcept {
  return __builtin_shufflevector(a, b, static_cast<int>(i)...);
}

/// What is done with two vectors whose indices differ in bit `partner`: they are interleaved by units of 2^lane bytes,
/// or the upper nibbles of the first are exchanged with the lower ones of the second.
struct Step {
  std::size_t lane = 0;
  std::size_t partner = 0;
  bool exchanges_nibbles = false;
};

/// How vectors become an order.
struct Steps {
  std::array<Step, 3 * lane_bits> steps{};
  std::size_t count = 0;
  /// Afterwards: the bit of the index read that each bit of a byte's place stands for.
  std::array<std::uint8_t, most_bits> held{};

  constexpr std::size_t place_of(std::uint8_t bit) const {
    std::size_t at = 0;
    while (at < most_bits && held[at] != bit) ++at;
    return at;
  }

  /// Moves what bit `from` stands for to bit `to` of the index within a lane, and the uppermost one of those out.
  constexpr void interleave(std::size_t to, std::size_t from) {
    steps[count++] = {to, from};
    const std::uint8_t bit = held[from];
    held[from] = held[lane_bits - 1];
    for (std::size_t lane = lane_bits - 1; lane > to; --lane) held[lane] = held[lane - 1];
    held[to] = bit;
  }
};

/// Steps that bring wanted[0], wanted[1], ... into the index within a lane, and `of_nibble` into that of a byte's
/// nibbles. Bits that are moved out before they are moved in again come last, the one of nibbles last of all.
constexpr Steps steps_to(const std::array<std::uint8_t, lane_bits>& wanted, std::uint8_t of_nibble) {
  Steps made;
  for (std::size_t i = 0; i < most_bits; ++i) made.held[i] = static_cast<std::uint8_t>(i);
  std::array<bool, lane_bits> is_there{};
  std::size_t there = 0;  // the lowest bits that are there already, in order
  for (std::size_t lane = 0; lane < lane_bits; ++lane) {
    is_there[lane] = wanted[lane] == there;
    if (is_there[lane]) ++there;
  }
  const auto exchange_nibbles = [&] {
    while (made.place_of(of_nibble) < lane_bits) made.interleave(there, made.steps[made.count - 1].partner);
    const std::size_t partner = made.place_of(of_nibble);
    made.steps[made.count++] = {0, partner, true};
    made.held[partner] = nibble_bit;
  };
  const auto turn = [](std::uint8_t bit) { return bit == nibble_bit ? 2 : bit < lane_bits ? 1 : 0; };
  for (int now = 0; now < 3; ++now) {
    if (now == 2 && of_nibble != nibble_bit) exchange_nibbles();
    for (std::size_t lane = 0; lane < lane_bits; ++lane) {
      if (is_there[lane] || turn(wanted[lane]) != now) continue;
      std::size_t to = 0;
      for (std::size_t below = 0; below < lane; ++below) to += is_there[below] ? 1 : 0;
      made.interleave(to, made.place_of(wanted[lane]));
      is_there[lane] = true;
      ++there;
    }
  }
  return made;
}

/// Vectors that are interleaved among each other are kept in registers: `places` has the bits of their places that
/// differ. Places are those of lanes in what is read, in bytes.
template <std::size_t bits, const BitOrder<bits>& order, bool nibbles>
struct Rearrangement {
  /// Bits of the index of a byte; the order's, without its nibble.
  static constexpr std::size_t byte_bits = nibbles ? bits - 1 : bits;
  static constexpr auto of_bytes = [] {
    std::array<std::uint8_t, bits> made{};
    for (std::size_t j = 0; j < bits; ++j) {
      made[j] = !nibbles ? order[j] : order[j] == 0 ? nibble_bit : static_cast<std::uint8_t>(order[j] - 1);
    }
    return made;
  }();
  static constexpr std::uint8_t source(std::size_t bit) { return of_bytes[bit + (nibbles ? 1 : 0)]; }

  static constexpr Steps plan =
      steps_to({source(0), source(1), source(2), source(3)}, nibbles ? of_bytes[0] : nibble_bit);

  static constexpr std::size_t places = [] {
    std::size_t mask = 0;
    for (std::size_t step = 0; step < plan.count; ++step) mask |= std::size_t{1} << plan.steps[step].partner;
    return mask;
  }();

  /// Of all lanes.
  static constexpr std::size_t all_places = [] {
    std::size_t mask = 0;
    for (const std::uint8_t bit : of_bytes) mask |= bit < most_bits ? std::size_t{1} << bit : 0;
    return mask & ~std::size_t{15};
  }();

  /// Where a lane is written, in bytes.
  static constexpr std::size_t written(std::size_t place) {
    std::size_t to = 0;
    for (std::size_t j = lane_bits; j < byte_bits; ++j) {
      to += (place >> plan.place_of(source(j)) & 1U) << j;
    }
    return to;
  }

  /// The lanes of a vector differ in one bit that no step has to do with: preferably one that makes them neighbours
  /// where they are written.
  static constexpr std::size_t other_lane = [] {
    if (lanes == 1) return std::size_t{0};
    std::size_t found = 0;
    for (std::size_t bit = most_bits; bit-- > lane_bits;) {
      const std::size_t place = std::size_t{1} << bit;
      if ((all_places & ~places & place) != 0 && (found == 0 || written(place) == sizeof(Lane))) found = place;
    }
    return found;
  }();

  /// Places whose bits are among `mask`, in order.
  template <std::size_t mask>
  static constexpr auto among = [] {
    std::array<std::uint16_t, std::size_t{1} << static_cast<std::size_t>(__builtin_popcountll(mask))> all{};
    std::size_t place = 0;
    for (std::uint16_t& one : all) {
      one = static_cast<std::uint16_t>(place);
      place = (place - mask) & mask;
    }
    return all;
  }();
  static constexpr auto& in_registers = among<places>;
  static constexpr auto& groups = among<all_places & ~places & ~other_lane>;

  template <std::size_t count>
  static constexpr auto written_places(std::array<std::uint16_t, count> all) {
    for (std::uint16_t& place : all) place = static_cast<std::uint16_t>(written(place));
    return all;
  }
  static constexpr auto written_registers = written_places(in_registers);
  static constexpr auto written_groups = written_places(groups);

  /// Of `partner`, in the index of a register.
  static constexpr std::size_t register_bit(std::size_t partner) {
    return std::size_t{1} << static_cast<std::size_t>(__builtin_popcountll(places & ((std::size_t{1} << partner) - 1)));
  }

  using Registers = Lanes[in_registers.size()];

  template <std::size_t step>
  [[gnu::always_inline]] static void do_step(Registers& v) noexcept {
    constexpr Step now = plan.steps[step];
    constexpr std::size_t other = register_bit(now.partner);
#pragma GCC unroll 32
    for (std::size_t i = 0; i < in_registers.size(); ++i) {
      if ((i & other) != 0) continue;
      const Lanes a = v[i];
      const Lanes b = v[i + other];
      if constexpr (now.exchanges_nibbles) {
        v[i] = (a & 0xF) | (in_bytes(in_words(b) << 4) & 0xF0);
        v[i + other] = (in_bytes(in_words(a) >> 4) & 0xF) | (b & 0xF0);
      } else {
        v[i] = interleave<now.lane, false>(a, b);
        v[i + other] = interleave<now.lane, true>(a, b);
      }
    }
  }

  template <std::size_t... step>
  [[gnu::always_inline]] static void do_steps(Registers& v, std::index_sequence<step...>) noexcept {
    (do_step<step>(v), ...);
  }

  [[gnu::always_inline]] static Lanes load(const std::byte* from) noexcept {
    Lanes vector;
    if constexpr (other_lane == sizeof(Lane) || lanes == 1) {
      std::memcpy(&vector, from, sizeof vector);
    } else {
      Lane first;
      Lane last;
      std::memcpy(&first, from, sizeof first);
      std::memcpy(&last, from + other_lane, sizeof last);
      vector = joined(first, last, std::make_index_sequence<sizeof(Lanes)>());
    }
    return vector;
  }

  [[gnu::always_inline]] static void store(std::byte* to, Lanes vector) noexcept {
    constexpr std::size_t apart = written(other_lane);
    if constexpr (apart == sizeof(Lane) || lanes == 1) {
      std::memcpy(to, &vector, sizeof vector);
    } else {
      const auto* const both = reinterpret_cast<const std::byte*>(&vector);
      std::memcpy(to, both, sizeof(Lane));
      std::memcpy(to + apart, both + sizeof(Lane), sizeof(Lane));
    }
  }

  [[gnu::always_inline]] static void run(std::byte* to, const std::byte* from) noexcept {
    for (std::size_t group = 0; group < groups.size(); ++group) {
      Registers v;
#pragma GCC unroll 32
      for (std::size_t i = 0; i < in_registers.size(); ++i) v[i] = load(from + groups[group] + in_registers[i]);
      do_steps(v, std::make_index_sequence<plan.count>());
#pragma GCC unroll 32
      for (std::size_t i = 0; i < in_registers.size(); ++i) {
        store(to + written_groups[group] + written_registers[i], v[i]);
      }
    }
  }
};

}  // namespace detail

/// Writes 2^bits bytes in another order.
template <std::size_t bits, const BitOrder<bits>& order>
[[gnu::always_inline]] inline void rearrange_bytes(std::byte* to, const std::byte* from) noexcept {
  detail::Rearrangement<bits, order, false>::run(to, from);
}

/// Writes 2^bits nibbles in another order; the lower nibble of a byte is the first.
template <std::size_t bits, const BitOrder<bits>& order>
[[gnu::always_inline]] inline void rearrange_nibbles(std::byte* to, const std::byte* from) noexcept {
  detail::Rearrangement<bits, order, true>::run(to, from);
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
