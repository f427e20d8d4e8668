// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Weights as fp32 in registers, vector by vector, for products that take them from there and for those that want them in
// memory. What is handed out at once is a step: 16 K of all columns of a panel. A kind of codes is a type with
//
//     unit<V>                      what its numbers are multiplied by to be the weights': a power of two
//     for_step<V>(run, step, f)    f(k, vector, number) for each k < 16 of step 0 or 1 of a run of codes and each vector
//                                  of a row of columns; the k of a vector rise

namespace polymoe::inline POLYMOE_ISA::layout {

inline constexpr std::int64_t step_of_numbers = 16;

/// Vectors of a row of a panel's columns.
template <vector::FloatVector V>
inline constexpr std::int64_t vectors_of_row = panel_columns / static_cast<std::int64_t>(vector::width<V>);

/// A codec of which a Numbers<V> is a record in numbers, groups of whole steps of which have scales that multiply them or
/// their sums. Its scale(step, vector) is that of the group that the step is in.
template <class C, class V>
concept NumbersCodec = Codec<C> && std::same_as<typename C::Element, float> &&
    requires(const typename C::template Numbers<V>& record, const RecordShape& shape) {
  { C::template Numbers<V>::serves(shape) } -> std::same_as<bool>;
  { C::template Numbers<V>::unit } -> std::convertible_to<float>;       // as that of codes
  { C::template Numbers<V>::has_scales } -> std::convertible_to<bool>;  // without them there is no scale(step, vector)
  { record.steps_of_group() } -> std::same_as<std::int64_t>;
  record.for_step(0, [](std::int64_t, std::int64_t, V) {});
};

namespace detail {

/// Byte b of each integer, signed.
template <int b, class I>
[[gnu::always_inline]] inline I signed_byte(I bytes) noexcept {
  if constexpr (b < 3) bytes = bytes << (24 - 8 * b);
  return bytes >> 24;
}

template <vector::FloatVector V>
[[gnu::always_inline]] inline vector::Int<V> load_int(const std::byte* from) noexcept {
  return vector::to_bits(vector::load<V>(reinterpret_cast<const float*>(from)));
}

/// The bytes of a table that the lower nibbles of bytes are the indices of.
template <vector::FloatVector V>
[[gnu::always_inline]] inline vector::Int<V> look_up(const std::array<std::int8_t, 16>& table,
                                                     vector::Int<V> indices) noexcept {
#if defined(__SSSE3__)
  if constexpr (vector::width<V> >= 4) {
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(table.data()));
    const vector::Int<V> nibbles = indices & vector::Int<V>(0x0F0F0F0F);
#if defined(__AVX512BW__)
    if constexpr (vector::width<V> == 16) return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(bytes), nibbles);
#endif
#if defined(__AVX2__)
    if constexpr (vector::width<V> == 8) return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), nibbles);
#endif
    if constexpr (vector::width<V> == 4) return _mm_shuffle_epi8(bytes, nibbles);
  }
#endif
  using Bytes = std::array<std::uint8_t, 4 * vector::width<V>>;
  auto codes = std::bit_cast<Bytes>(indices);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(table[code & 15U]);
  return std::bit_cast<vector::Int<V>>(codes);
}

}  // namespace detail

/// Nibbles in code_order::f32_nibbles that stand for integers of a table.
template <const std::array<std::int8_t, 16>& table, float unit_>
struct NibbleNumbers {
  template <class V>
  static constexpr float unit = unit_;

  template <vector::FloatVector V, class F>
  [[gnu::always_inline]] static void for_step(const std::byte* run, std::int64_t step, F f) noexcept {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    for (std::int64_t k = 0; k < step_of_numbers; k += 8) {
      const std::byte* const eight = run + (step * 2 + k / 8) * 64;
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < vectors_of_row<V>; ++v) {
        const std::int64_t column = v * width;
        for_eight<V>(detail::load_int<V>(eight + column / 16 * (run_codes / 4) + column % 16 * 4),
                     [&](std::int64_t i, V number) __attribute__((always_inline)) { f(k + i, v, number); });
      }
    }
  }

 private:
  alignas(64) static constexpr std::array<float, 16> numbers = [] {
    std::array<float, 16> made{};
    for (std::size_t code = 0; code < 16; ++code) made[code] = static_cast<float>(table[code]);
    return made;
  }();

  /// Eight K of a vector of columns.
  template <class V, class F>
  [[gnu::always_inline]] static void for_eight(vector::Int<V> codes, F f) noexcept {
#if defined(__AVX512F__)
    if constexpr (vector::width<V> == 16) {
      const __m512 all = _mm512_load_ps(numbers.data());
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        f(i, V(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, static_cast<unsigned>(i % 4 * 8 + i / 4 * 4)), all)));
      }
      return;
    }
#endif
    for_bytes<V>(detail::look_up<V>(table, codes), 0, f);
    for_bytes<V>(detail::look_up<V>(table, codes >> 4), 4, f);
  }

  template <class V, class F>
  [[gnu::always_inline]] static void for_bytes(vector::Int<V> bytes, std::int64_t k, F f) noexcept {
    f(k, to_number<V>(detail::signed_byte<0>(bytes)));
    f(k + 1, to_number<V>(detail::signed_byte<1>(bytes)));
    f(k + 2, to_number<V>(detail::signed_byte<2>(bytes)));
    f(k + 3, to_number<V>(detail::signed_byte<3>(bytes)));
  }
};

namespace detail {

alignas(16) inline constexpr std::array<std::int8_t, 16> twice_e2m1 = [] {
  std::array<std::int8_t, 16> twice{};
  for (std::uint8_t code = 0; code < 16; ++code) twice[code] = static_cast<std::int8_t>(2 * e2m1_decode(code));
  return twice;
}();

alignas(16) inline constexpr std::array<std::int8_t, 16> int4_less_8 = [] {
  std::array<std::int8_t, 16> less_8{};
  for (std::size_t code = 0; code < 16; ++code) less_8[code] = static_cast<std::int8_t>(static_cast<int>(code) - 8);
  return less_8;
}();

}  // namespace detail

using E2m1Numbers = NibbleNumbers<detail::twice_e2m1, 0.5F>;
/// Codes less 8.
using Int4Numbers = NibbleNumbers<detail::int4_less_8, 1.0F>;

/// Signed bytes in code_order::f32_bytes.
struct Int8Numbers {
  template <class V>
  static constexpr float unit = 1.0F;

  template <vector::FloatVector V, class F>
  [[gnu::always_inline]] static void for_step(const std::byte* run, std::int64_t step, F f) noexcept {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    const std::byte* codes = run + step * step_of_numbers * panel_columns;
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < step_of_numbers; ++k) {
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < vectors_of_row<V>; ++v, codes += width) f(k, v, number<V>(codes));
    }
  }

 private:
  template <class V>
  [[gnu::always_inline]] static V number(const std::byte* codes) noexcept {
    const auto* const bytes = reinterpret_cast<const std::int8_t*>(codes);
    return to_number<V>(load_bytes<V>(bytes));
  }
};

/// e4m3 in code_order::f32_bytes; NaN is not among them. As fp16 a code is 2^-8 of its number, subnormal ones included,
/// and the instruction that widens fp16 does not care for what happens to subnormal fp32.
struct E4m3Numbers {
#if defined(__F16C__)
  static constexpr bool has_fp16 = true;
#else
  static constexpr bool has_fp16 = false;
#endif
  template <class V>
  static constexpr float unit = has_fp16 && vector::width<V> >= 4 ? 256.0F : 1.0F;

  template <vector::FloatVector V, class F>
  [[gnu::always_inline]] static void for_step(const std::byte* run, std::int64_t step, F f) noexcept {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    const auto* codes = reinterpret_cast<const std::uint8_t*>(run) + step * step_of_numbers * panel_columns;
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < step_of_numbers; ++k) {
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < vectors_of_row<V>; v += 2, codes += 2 * width) {
        const TwoVectors<V> two(codes);
        f(k, v, two.first);
        f(k, v + 1, two.second);
      }
    }
  }

 private:
  template <class V>
  struct TwoVectors {
    V first;
    V second;

    [[gnu::always_inline]] explicit TwoVectors(const std::uint8_t* codes) noexcept {
#if defined(__F16C__)
#if defined(__AVX512BW__)
      if constexpr (vector::width<V> == 16) {
        const __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)));
        const __m512i words = _mm512_and_si512(_mm512_slli_epi16(wide, 7), _mm512_set1_epi16(sign_and_magnitude));
        first = _mm512_cvtph_ps(_mm512_castsi512_si256(words));
        second = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(words, 1));
        return;
      }
#endif
#if defined(__AVX2__)
      if constexpr (vector::width<V> == 8) {
        const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
        const __m256i words = _mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(sign_and_magnitude));
        first = _mm256_cvtph_ps(_mm256_castsi256_si128(words));
        second = _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1));
        return;
      }
#endif
      if constexpr (vector::width<V> == 4) {
        const __m128i wide = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes)));
        const __m128i words = _mm_and_si128(_mm_slli_epi16(wide, 7), _mm_set1_epi16(sign_and_magnitude));
        first = _mm_cvtph_ps(words);
        second = _mm_cvtph_ps(_mm_unpackhi_epi64(words, words));
        return;
      }
#endif
      first = e4m3_number<V>(load_bytes<V>(codes));
      second = e4m3_number<V>(load_bytes<V>(codes + vector::width<V>));
    }

   private:
    static constexpr auto sign_and_magnitude = static_cast<std::int16_t>(0xBF80);
  };
};

/// Records as fp32 in memory, [steps][2 halves][16 K][16 columns].
template <class C>
void store_numbers(const std::byte* packed, std::int64_t records, const RecordShape& shape, std::byte* out) noexcept {
  using V = vector::Native;
  using Numbers = typename C::template Numbers<V>;
  constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  constexpr std::int64_t vectors = vectors_of_row<V>;
  auto* to = reinterpret_cast<float*>(out);
  for (; records > 0; --records, packed += shape.bytes) {
    const Numbers numbers(packed, shape);
    for (std::int64_t step = 0; step < C::record_k / step_of_numbers; ++step, to += step_of_numbers * panel_columns) {
      V scales[vectors];
      for (std::int64_t v = 0; v < vectors; ++v) {
        if constexpr (Numbers::has_scales) scales[v] = numbers.scale(step, v);
      }
      numbers.for_step(step, [&](std::int64_t k, std::int64_t v, V number) __attribute__((always_inline)) {
        if constexpr (Numbers::unit != 1.0F) number = number * V(Numbers::unit);
        if constexpr (Numbers::has_scales) number = number * scales[v];
        const std::int64_t column = v * width;
        vector::store(to + element_place<float>(column, k), number);
      });
    }
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
