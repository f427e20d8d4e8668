// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <xsimd/xsimd.hpp>

#include "polymoe/layout/avx512_codes.hpp"
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

}  // namespace detail

/// Eight K, from 8 * index on, of vector `v` of a row of columns of a run in code_order::f32_nibbles.
template <vector::FloatVector V>
[[gnu::always_inline]] inline vector::Int<V> load_eight_nibbles(const std::byte* run, std::int64_t v,
                                                                std::int64_t index) noexcept {
  const std::int64_t column = v * static_cast<std::int64_t>(vector::width<V>);
  const std::byte* const from = run + column / 16 * (run_codes / 4) + index * 64 + column % 16 * 4;
  return vector::to_bits(vector::load<V>(reinterpret_cast<const float*>(from)));
}

/// Of the lower nibble of each byte the byte that a table has for it.
template <vector::FloatVector V, class Byte>
[[gnu::always_inline]] inline vector::Int<V> look_up_nibbles(const std::array<Byte, 16>& table,
                                                             vector::Int<V> indices) noexcept {
#if defined(POLYMOE_HAS_AVX512_CODES)
  if constexpr (vector::width<V> == 16) {
    return _mm512_permutexvar_epi8(
        indices, _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table.data()))));
  }
#endif
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
#if defined(__aarch64__)
  if constexpr (vector::width<V> == 4) {
    const int32x4_t nibbles = indices & vector::Int<V>(0x0F0F0F0F);
    const uint8x16_t bytes = vld1q_u8(reinterpret_cast<const std::uint8_t*>(table.data()));
    return vreinterpretq_s32_u8(vqtbl1q_u8(bytes, vreinterpretq_u8_s32(nibbles)));
  }
#endif
  using Bytes = std::array<std::uint8_t, 4 * vector::width<V>>;
  auto codes = std::bit_cast<Bytes>(indices);
  for (std::uint8_t& code : codes) code = static_cast<std::uint8_t>(table[code & 15U]);
  return std::bit_cast<vector::Int<V>>(codes);
}

/// Nibbles in code_order::f32_nibbles that stand for integers of a table, which has `one` for 1.
template <const std::array<std::int8_t, 16>& table, int one>
struct NibbleNumbers {
  template <class V>
  static constexpr float unit = 1.0F / one;

  template <vector::FloatVector V, class F>
  [[gnu::always_inline]] static void for_step(const std::byte* run, std::int64_t step, F f) noexcept {
    for (std::int64_t k = 0; k < step_of_numbers; k += 8) {
#pragma GCC unroll 8
      for (std::int64_t v = 0; v < vectors_of_row<V>; ++v) {
        for_eight<V>(load_eight_nibbles<V>(run, v, step * 2 + k / 8), k, v, f);
      }
    }
  }

 private:
  alignas(64) static constexpr std::array<float, 16> numbers = [] {
    std::array<float, 16> made{};
    for (std::size_t code = 0; code < 16; ++code) made[code] = static_cast<float>(table[code]);
    return made;
  }();

  template <class V, class F>
  [[gnu::always_inline]] static void for_eight(vector::Int<V> codes, std::int64_t k, std::int64_t v, F f) noexcept {
#if defined(__AVX512F__)
    if constexpr (vector::width<V> == 16) {
      const __m512 all = _mm512_load_ps(numbers.data());
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        f(k + i, v,
          V(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, static_cast<unsigned>(i % 4 * 8 + i / 4 * 4)), all)));
      }
      return;
    }
#endif
    for_bytes<V>(look_up_nibbles<V>(table, codes), k, v, f);
    for_bytes<V>(look_up_nibbles<V>(table, codes >> 4), k + 4, v, f);
  }

  template <class V, class F>
  [[gnu::always_inline]] static void for_bytes(vector::Int<V> bytes, std::int64_t k, std::int64_t v, F f) noexcept {
    f(k, v, to_number<V>(detail::signed_byte<0>(bytes)));
    f(k + 1, v, to_number<V>(detail::signed_byte<1>(bytes)));
    f(k + 2, v, to_number<V>(detail::signed_byte<2>(bytes)));
    f(k + 3, v, to_number<V>(detail::signed_byte<3>(bytes)));
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

using E2m1Numbers = NibbleNumbers<detail::twice_e2m1, 2>;
/// Codes less 8.
using Int4Numbers = NibbleNumbers<detail::int4_less_8, 1>;

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

/// e4m3 in code_order::f32_paired_bytes; NaN is not among them. As fp16 a code is 2^-8 of its number, subnormal ones
/// included, and the instruction that widens fp16 does not care for what happens to subnormal fp32.
struct E4m3Numbers {
#if defined(__F16C__)
  static constexpr bool has_fp16 = true;
#else
  static constexpr bool has_fp16 = false;
#endif
  template <class V>
  static constexpr float unit = (has_fp16 && vector::width<V> >= 4) ? 256.0F : 1.0F;

  template <vector::FloatVector V, class F>
  [[gnu::always_inline]] static void for_step(const std::byte* run, std::int64_t step, F f) noexcept {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    constexpr std::int64_t vectors_of_half = vectors_of_row<V> / 2;
    const auto* codes = reinterpret_cast<const std::uint16_t*>(run) + step * step_of_numbers * panel_columns / 2;
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < step_of_numbers * vectors_of_half; i += 2, codes += 2 * width) {
      const Widened<V> wide(codes);
      for (std::int64_t j = 0; j < 2; ++j) {
        const std::int64_t k = (i + j) / vectors_of_half;
        const std::int64_t v = (i + j) % vectors_of_half;
        f(k, v, wide.left[j]);
        f(k, v + vectors_of_half, wide.right[j]);
      }
    }
  }

 private:
  /// Two vectors of the left half and two of the right one: the numbers of the lower and of the upper bytes of words.
  template <class V>
  struct Widened {
    V left[2];
    V right[2];

    [[gnu::always_inline]] explicit Widened(const std::uint16_t* codes) noexcept {
#if defined(__F16C__)
      if constexpr (vector::width<V> >= 4) {
        using Words = xsimd::batch<std::int16_t, vector::Arch<V>>;
        const auto both = Words::load_unaligned(reinterpret_cast<const std::int16_t*>(codes));
        // Sign and magnitude of fp16 are a bit apart.
        const Words kept(static_cast<std::int16_t>(0xBF80));
        widen(((both << 8) >> 1) & kept, left);
        widen((both >> 1) & kept, right);
        return;
      }
#endif
      for (std::int64_t j = 0; j < 2; ++j) {
        const vector::Int<V> both = vector::load_codes<V>(codes + j * std::int64_t{vector::width<V>});
        left[j] = e4m3_number<V>(both & vector::Int<V>(0xFF));
        right[j] = e4m3_number<V>(both >> 8);
      }
    }

   private:
#if defined(__F16C__)
#if defined(__AVX512F__)
    [[gnu::always_inline]] static void widen(__m512i words, V (&two)[2]) noexcept {
      two[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(words));
      two[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(words, 1));
    }
#endif
    [[gnu::always_inline]] static void widen(__m256i words, V (&two)[2]) noexcept {
      two[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(words));
      two[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(words, 1));
    }
    [[gnu::always_inline]] static void widen(__m128i words, V (&two)[2]) noexcept {
      two[0] = _mm_cvtph_ps(words);
      two[1] = _mm_cvtph_ps(_mm_unpackhi_epi64(words, words));
    }
#endif
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
      const auto store = [&](std::int64_t k, std::int64_t v, V number) __attribute__((always_inline)) {
        if constexpr (Numbers::unit != 1.0F) number = number * V(Numbers::unit);
        if constexpr (Numbers::has_scales) number = number * scales[v];
        const std::int64_t column = v * width;
        vector::store(to + element_place<float>(column, k), number);
      };
      numbers.for_step(step, store);
    }
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::layout
