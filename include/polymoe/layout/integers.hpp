// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/layout/numbers.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Nibbles as bytes for products of integers: four K of a column are the bytes of an integer, a quad in every column of a
// vector. In a run of codes for fp32 two quads are the nibbles of the same bytes.

namespace polymoe::inline POLYMOE_ISA::layout {

/// Whether nibbles that are packed for products of Element can be read as quads.
#if defined(POLYMOE_HAS_AVX512_CODES)
template <class Element>
inline constexpr bool has_quads = true;
#elif defined(__SSSE3__)
template <class Element>
inline constexpr bool has_quads = std::same_as<Element, float>;
#else
template <class Element>
inline constexpr bool has_quads = false;
#endif

/// Up to which products of integers are the fastest: four bytes at once beat bf16 up to three rows; pieces of 16 bits
/// beat fp32 as long as that needs more instructions to make numbers of codes, which it does not with AVX-512.
template <class Element>
inline constexpr int most_rows_of_nibbles = std::same_as<Element, bf16>           ? 3
                                            : vector::width<vector::Native> == 16 ? 2
                                                                                  : 4;

inline constexpr float e2m1_zero = 12.0F;

/// Twice the numbers of e2m1's codes, and e2m1_zero.
alignas(16) inline constexpr std::array<std::uint8_t, 16> e2m1_integers = [] {
  std::array<std::uint8_t, 16> integers{};
  for (std::uint8_t code = 0; code < 16; ++code) {
    integers[code] = static_cast<std::uint8_t>(2 * e2m1_decode(code) + e2m1_zero);
  }
  return integers;
}();

/// The K from 8 * pair on of vector `v` of a row of columns, two quads of nibbles: those of the first are the lower
/// ones, and the upper ones are not to be looked at.
template <class Element, vector::FloatVector V>
[[gnu::always_inline]] inline vector::Int<V> load_nibbles(const std::byte* run, std::int64_t v,
                                                          std::int64_t pair) noexcept {
#if defined(POLYMOE_HAS_AVX512_CODES)
  if constexpr (std::same_as<Element, bf16>) return avx512::nibbles_of_quads(run + v * 256 + pair * 64);
#endif
  return load_eight_nibbles<V>(run, v, pair);
}

/// Two quads: of each code the byte that `table` has for it.
template <class Element, vector::FloatVector V>
[[gnu::always_inline]] inline void two_quads(const std::byte* run, std::int64_t v, std::int64_t pair,
                                             const std::array<std::uint8_t, 16>& table,
                                             vector::Int<V>* quads) noexcept {
  const vector::Int<V> codes = load_nibbles<Element, V>(run, v, pair);
  quads[0] = look_up_nibbles<V>(table, codes);
  quads[1] = look_up_nibbles<V>(table, codes >> 4);
}

/// The codes themselves.
template <class Element, vector::FloatVector V>
[[gnu::always_inline]] inline void two_quads(const std::byte* run, std::int64_t v, std::int64_t pair,
                                             vector::Int<V>* quads) noexcept {
  const vector::Int<V> codes = load_nibbles<Element, V>(run, v, pair);
  const vector::Int<V> lower_nibbles(0x0F0F0F0F);
  quads[0] = codes & lower_nibbles;
  quads[1] = (codes >> 4) & lower_nibbles;
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
