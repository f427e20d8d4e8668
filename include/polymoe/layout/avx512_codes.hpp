// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__) && defined(__AVX512BW__)
#define POLYMOE_HAS_AVX512_CODES 1

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"

// Pieces of AVX-512 code that make bf16 weights of codes. What an instruction occupies on a Sapphire Rapids core, of
// the two ports 0 and 5 (measured): vpermb, vpshufb, unpacking, byte-to-dword 5; vpermw 0 and 5; vpermi2b 5 twice and
// one more; word shifts and saturating words 0; logic, adds, fp32 products either one; vcvtne2ps2bf16 5 twice and two
// more.

namespace polymoe::inline POLYMOE_ISA::layout::avx512 {

[[gnu::always_inline]] inline __m512i load(const void* from) noexcept {
  return _mm512_loadu_si512(from);
}
[[gnu::always_inline]] inline void store(void* to, __m512i value) noexcept {
  _mm512_storeu_si512(to, value);
}

/// Words of 16 columns with two of K each: [c0 c0 c1 c1 ...] of 16 words in the lower half of `words`.
[[gnu::always_inline]] inline __m512i twice_each(__m512i words) noexcept {
  const __m512i index = _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5,
                                         4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
  return _mm512_permutexvar_epi16(index, words);
}

/// A table of 16 bytes for vpermb, by the lower four bits of an index: all 64 repeat them.
[[gnu::always_inline]] inline __m512i four_times(const std::array<std::uint8_t, 16>& bytes) noexcept {
  return _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data())));
}

/// The column of each code of code_order::bf16_nibbles, times `step`.
template <int step>
[[gnu::always_inline]] inline __m512i columns_of_codes() noexcept {
  const __m512i first = _mm512_set1_epi64(0x0303020201010000 * step);
  const __m512i of_lane = _mm512_set_epi64(12, 12, 8, 8, 4, 4, 0, 0);
  return _mm512_add_epi8(first, _mm512_mullo_epi64(of_lane, _mm512_set1_epi64(0x0101010101010101 * step)));
}

/// Unpacks rows of code_order::bf16_nibbles: `look_up` makes low and high bytes of 64 codes, whose upper four bits
/// are not to be looked at, and what is in `missing` is taken off the words.
template <class LookUp>
[[gnu::always_inline]] inline void unpack_nibbles(const std::byte* codes, std::int64_t rows, __m512i missing,
                                                  std::byte* out, LookUp look_up) noexcept {
  for (std::int64_t row = 0; row < rows; row += 4, codes += 64) {
    const __m512i packed = load(codes);
    const __m512i both[2] = {packed, _mm512_srli_epi16(packed, 4)};
    for (std::int64_t i = 0; i < 2; ++i, out += 128) {
      __m512i low;
      __m512i high;
      look_up(both[i], low, high);
      store(out, _mm512_subs_epi16(_mm512_unpacklo_epi8(low, high), missing));
      store(out + 64, _mm512_subs_epi16(_mm512_unpackhi_epi8(low, high), missing));
    }
  }
}

inline constexpr float e2m1_zero = 12.0F;

/// Twice the numbers of e2m1's codes, and e2m1_zero.
inline constexpr std::array<std::uint8_t, 16> e2m1_integers = [] {
  std::array<std::uint8_t, 16> integers{};
  for (std::uint8_t code = 0; code < 16; ++code) {
    integers[code] = static_cast<std::uint8_t>(2 * e2m1_decode(code) + e2m1_zero);
  }
  return integers;
}();

// ---- codes as integers: four K of each of 16 columns, a byte each, are a quad

/// 64 bytes of code_order::bf16_nibbles such that either nibbles are a quad: two K of four columns and then the next two
/// become four K of each column.
[[gnu::always_inline]] inline __m512i nibbles_of_quads(const std::byte* codes) noexcept {
  const __m512i order = _mm512_broadcast_i32x4(_mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0));
  return _mm512_shuffle_epi8(load(codes), order);
}

/// Two quads: of each code of 64 bytes the byte that `table` has for it.
[[gnu::always_inline]] inline void two_quads_of_nibbles(const std::byte* codes,
                                                        const std::array<std::uint8_t, 16>& table,
                                                        __m512i (&quads)[2]) noexcept {
  const __m512i packed = nibbles_of_quads(codes);
  quads[0] = _mm512_permutexvar_epi8(packed, four_times(table));
  quads[1] = _mm512_permutexvar_epi8(_mm512_srli_epi16(packed, 4), four_times(table));
}

/// The bytes of the first words of both halves of 64 bytes, of the second ones, ...
alignas(64) inline constexpr std::array<std::uint8_t, 64> words_in_turn = [] {
  std::array<std::uint8_t, 64> index{};
  for (std::size_t i = 0; i < index.size(); ++i) {
    index[i] = static_cast<std::uint8_t>(i / 4 * 2 + i % 4 / 2 * 32 + i % 2);
  }
  return index;
}();

/// A quad of 64 bytes of code_order::bf16_bytes.
[[gnu::always_inline]] inline __m512i quad_of_bytes(const std::byte* codes) noexcept {
  return _mm512_permutexvar_epi8(load(words_in_turn.data()), load(codes));
}

/// Scales of 16 columns for the words of a tile's row, as fp32: the first and the last 8 columns.
struct RowScales {
  __m512 first;
  __m512 last;

  explicit RowScales(__m512 scale) noexcept
      : first(_mm512_permutexvar_ps(_mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0), scale)),
        last(_mm512_permutexvar_ps(_mm512_set_epi32(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8),
                                   scale)) {}
};

/// 16 numbers as fp32: of bf16, ...
[[gnu::always_inline]] inline __m512 widen(__m256i words) noexcept {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
}

/// ... or of int8.
[[gnu::always_inline]] inline __m512 load_int8(const std::byte* from) noexcept {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}

/// Two vectors of fp32, rounded to bf16 one after the other.
[[gnu::always_inline]] inline __m512i to_bf16(__m512 first, __m512 last) noexcept {
  return (__m512i)_mm512_cvtne2ps_pbh(last, first);
}

/// A table of 128 words, as bytes: what vpermi2b looks up.
struct ByteTable {
  __m512i low[2];
  __m512i high[2];

  /// Of words 0..127.
  static ByteTable of(const __m512i* words) noexcept {
    const __m512i even = even_bytes();
    const __m512i odd = _mm512_add_epi8(even, _mm512_set1_epi8(1));
    return {{_mm512_permutex2var_epi8(words[0], even, words[1]), _mm512_permutex2var_epi8(words[2], even, words[3])},
            {_mm512_permutex2var_epi8(words[0], odd, words[1]), _mm512_permutex2var_epi8(words[2], odd, words[3])}};
  }

  /// The words of 64 sign-and-magnitude codes, in two vectors: 8 bytes of each 16 in one, 8 in the other.
  [[gnu::always_inline]] void look_up(__m512i codes, __m512i& first, __m512i& second) const noexcept {
    const __m512i low_bytes = _mm512_permutex2var_epi8(low[0], codes, low[1]);
    const __m512i magnitude = _mm512_permutex2var_epi8(high[0], codes, high[1]);
    // magnitude | (codes & 0x80)
    const __m512i high_bytes = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-128), 0xF8);
    first = _mm512_unpacklo_epi8(low_bytes, high_bytes);
    second = _mm512_unpackhi_epi8(low_bytes, high_bytes);
  }

 private:
  static __m512i even_bytes() noexcept {
    std::array<std::uint8_t, 64> index{};
    for (std::size_t i = 0; i < index.size(); ++i) index[i] = static_cast<std::uint8_t>(2 * i);
    return load(index.data());
  }
};

/// The numbers of e4m3's 128 magnitudes as bf16: exact, as is their NaN.
alignas(64) inline constexpr std::array<std::uint16_t, 128> e4m3_words = [] {
  std::array<std::uint16_t, 128> words{};
  for (unsigned code = 0; code < 128; ++code) words[code] = bf16(e4m3_decode(static_cast<std::uint8_t>(code))).bits;
  return words;
}();

inline ByteTable e4m3_table() noexcept {
  const __m512i words[4] = {load(e4m3_words.data()), load(e4m3_words.data() + 32), load(e4m3_words.data() + 64),
                            load(e4m3_words.data() + 96)};
  return ByteTable::of(words);
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::avx512

#endif
