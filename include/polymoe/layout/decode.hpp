// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Codes to fp32, for vectors V of any width or a float: without tables, and exact also where subnormal numbers are
// flushed.

namespace polymoe::inline POLYMOE_ISA::layout {

/// The bytes codes[0..width), zero or sign extended.
template <vector::FloatVector V, class Byte>
requires(std::same_as<Byte, std::uint8_t> || std::same_as<Byte, std::int8_t>)
    [[gnu::always_inline]] inline vector::Int<V> load_bytes(const Byte* codes) noexcept {
  [[maybe_unused]] constexpr bool is_signed = std::same_as<Byte, std::int8_t>;
#if defined(__AVX512F__)
  if constexpr (vector::width<V> == 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
    return is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes);
  }
#endif
#if defined(__AVX2__)
  if constexpr (vector::width<V> == 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes));
    return is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
  }
#endif
#if defined(__SSE4_1__)
  if constexpr (vector::width<V> == 4) {
    std::int32_t four;
    std::memcpy(&four, codes, sizeof four);
    const __m128i bytes = _mm_cvtsi32_si128(four);
    return is_signed ? _mm_cvtepi8_epi32(bytes) : _mm_cvtepu8_epi32(bytes);
  }
#endif
  std::array<std::int32_t, vector::width<V>> wide;
  for (std::size_t i = 0; i < wide.size(); ++i) wide[i] = codes[i];
  return std::bit_cast<vector::Int<V>>(wide);
}

/// Integers as numbers.
template <vector::FloatVector V>
[[gnu::always_inline]] inline V to_number(vector::Int<V> integers) noexcept {
  if constexpr (std::same_as<V, float>) {
    return static_cast<float>(integers);
  } else {
    return xsimd::to_float(integers);
  }
}

/// e4m3 (numerics.md, section 4): an integer significand times a power of two, so that subnormal numbers need no
/// choice.
template <vector::FloatVector V>
[[gnu::always_inline]] inline V e4m3_number(vector::Int<V> code) noexcept {
  using I = vector::Int<V>;
  const I magnitude = code & I(0x7F);
  const I is_normal = (magnitude + I(0x78)) >> 7;
  const I is_nan = (magnitude + I(1)) >> 7;
  const I significand = (magnitude & I(7)) | (is_normal << 3);
  const I exponent = (magnitude >> 3) + I(118) - is_normal;
  const V number = to_number<V>(significand) * vector::from_bits<V>(exponent << 23);
  return vector::from_bits<V>(vector::to_bits(number) | ((code & I(0x80)) << 24) | ((I(0) - is_nan) & I(0x7FC00000)));
}

/// e2m1.
template <vector::FloatVector V>
[[gnu::always_inline]] inline V e2m1_number(vector::Int<V> code) noexcept {
  using I = vector::Int<V>;
  const I magnitude = code & I(7);
  const I is_normal = (magnitude + I(6)) >> 3;
  const I significand = (magnitude & I(1)) | (is_normal << 1);
  const I exponent = (magnitude >> 1) + I(126) - is_normal;
  const V number = to_number<V>(significand) * vector::from_bits<V>(exponent << 23);
  return vector::from_bits<V>(vector::to_bits(number) | ((code & I(8)) << 28));
}

/// A byte of two's complement.
template <vector::FloatVector V>
[[gnu::always_inline]] inline V int8_number(vector::Int<V> code) noexcept {
  using I = vector::Int<V>;
  return to_number<V>((code ^ I(0x80)) - I(0x80));
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
