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
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/exponent.hpp"

// Pieces of AVX-512 code that make bf16 weights of codes. What an instruction occupies on a Sapphire Rapids core, of
// the two ports 0 and 5 (measured): vpermb, vpshufb, vptestm, unpacking, byte-to-dword 5; vpermw 0 and 5; vpermi2b 5
// twice and one more; word shifts, saturating words, vpmaddubsw, kortest 0; logic, adds, fp32 products either one;
// vcvtne2ps2bf16 5 twice and two more.

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

/// Words by code, as the low bytes and the high ones that instructions look up.
template <std::size_t count>
struct WordBytes {
  alignas(64) std::array<std::uint8_t, count> low{};
  alignas(64) std::array<std::uint8_t, count> high{};

  /// word_of(code) is of 16 bits.
  template <class WordOf>
  static constexpr WordBytes of(WordOf word_of) {
    WordBytes bytes;
    for (std::size_t code = 0; code < count; ++code) {
      const std::uint16_t word = word_of(static_cast<std::uint8_t>(code));
      bytes.low[code] = static_cast<std::uint8_t>(word & 0xFFU);
      bytes.high[code] = static_cast<std::uint8_t>(word >> 8);
    }
    return bytes;
  }
};

/// The same with the words of a table.
[[gnu::always_inline]] inline void look_up_nibbles(const std::byte* codes, std::int64_t rows, __m512i missing,
                                                   std::byte* out, const WordBytes<16>& words) noexcept {
  const __m512i low_bytes = four_times(words.low);
  const __m512i high_bytes = four_times(words.high);
  unpack_nibbles(codes, rows, missing, out, [&](__m512i code, __m512i& low, __m512i& high) {
    low = _mm512_permutexvar_epi8(code, low_bytes);
    high = _mm512_permutexvar_epi8(code, high_bytes);
  });
}

// ---- codes as integers: four K of each of 16 columns, a byte each, are a quad

/// 64 bytes of code_order::bf16_nibbles such that either nibbles are a quad: two K of four columns and then the next two
/// become four K of each column.
[[gnu::always_inline]] inline __m512i nibbles_of_quads(const std::byte* codes) noexcept {
  const __m512i order = _mm512_broadcast_i32x4(_mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0));
  return _mm512_shuffle_epi8(load(codes), order);
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

/// `count` bytes of int8, a multiple of 32, as bf16: exact.
inline void unpack_int8(const std::byte* codes, std::int64_t count, std::byte* out) noexcept {
  for (const std::byte* const end = codes + count; codes < end; codes += 32, out += 64) {
    store(out, to_bf16(load_int8(codes), load_int8(codes + 16)));
  }
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

  static ByteTable of(const WordBytes<128>& words) noexcept {
    return {{load(words.low.data()), load(words.low.data() + 64)},
            {load(words.high.data()), load(words.high.data() + 64)}};
  }

  /// The words of 64 sign-and-magnitude codes: of the even ones and of the odd ones.
  [[gnu::always_inline]] void look_up(__m512i codes, __m512i& first, __m512i& second) const noexcept {
    const __m512i low_bytes = _mm512_permutex2var_epi8(low[0], codes, low[1]);
    const __m512i magnitude = _mm512_permutex2var_epi8(high[0], codes, high[1]);
    // magnitude | (codes & 0x80)
    const __m512i high_bytes = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-128), 0xF8);
    // Of each pair of words the lower byte of one is in place, the upper byte of the other.
    const __m512i upper = _mm512_set1_epi16(-256);
    first = _mm512_ternarylogic_epi32(_mm512_slli_epi16(high_bytes, 8), low_bytes, upper, 0xE4);
    second = _mm512_ternarylogic_epi32(_mm512_srli_epi16(low_bytes, 8), high_bytes, upper, 0xD8);
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

/// e4m3's 128 magnitudes times 2^power; NaN is 0.
template <std::int32_t power>
inline constexpr auto e4m3_bytes = WordBytes<128>::of([](std::uint8_t code) -> std::uint16_t {
  return code == 127 ? 0 : bf16(e4m3_decode(code) * power_of_two(power)).bits;
});

/// A constant that stays in a register. GCC would rather make it anew in a loop, on port 5.
[[gnu::always_inline]] inline __m512i in_register(__m512i value) noexcept {
  __asm__("" : "+v"(value));
  return value;
}

/// Unpacks e4m3 codes of code_order::bf16_paired_bytes times 2^power. NaN is not among them.
///
/// Sign, exponent and mantissa of a number stand in bf16 as they are in its code, four bits further up, with 120 added
/// to the exponent. Products with 16 shift codes and leave 16 signs above them, so three instructions make 32 numbers.
/// Those with an exponent of 0 are looked up instead, with all of the 256 beside them: in a checkpoint these are few,
/// and fewer tests make up for more numbers that are looked up.
template <std::int32_t power>
class E4m3Unpacker {
 public:
  /// `vectors` of 64 codes, a multiple of 4. What is in `missing` is taken off the words and saturates at -0.
  [[gnu::always_inline]] void unpack(const std::byte* codes, std::int64_t vectors, __m512i missing,
                                     std::byte* out) const noexcept {
    const __m512i addend = _mm512_sub_epi16(addend_, missing);
    for (std::int64_t vector = 0; vector < vectors; vector += 4, codes += 256, out += 512) {
      const __m512i four[4] = {load(codes), load(codes + 64), load(codes + 128), load(codes + 192)};
      __mmask64 has_exponent = _mm512_test_epi8_mask(four[0], exponent_);
      for (std::int64_t i = 1; i < 4; ++i) has_exponent = _mm512_mask_test_epi8_mask(has_exponent, four[i], exponent_);
      if (_kortestc_mask64_u8(has_exponent, has_exponent) != 0) [[likely]] {
#pragma GCC unroll 4
        for (std::int64_t i = 0; i < 4; ++i) {
          store(out + i * 64, _mm512_add_epi16(sign_and_magnitude(four[i], even_), addend));
        }
#pragma GCC unroll 4
        for (std::int64_t i = 0; i < 4; ++i) {
          store(out + 256 + i * 64, _mm512_add_epi16(sign_and_magnitude(four[i], odd_), addend));
        }
      } else {
        const ByteTable table = ByteTable::of(e4m3_bytes<power>);
#pragma GCC unroll 4
        for (std::int64_t i = 0; i < 4; ++i) {
          __m512i even;
          __m512i odd;
          table.look_up(four[i], even, odd);
          store(out + i * 64, _mm512_subs_epi16(even, missing));
          store(out + i * 64 + 256, _mm512_subs_epi16(odd, missing));
        }
      }
    }
  }

 private:
  [[gnu::always_inline]] __m512i sign_and_magnitude(__m512i codes, __m512i sixteen) const noexcept {
    return _mm512_and_si512(_mm512_maddubs_epi16(sixteen, codes), kept_);
  }

  __m512i exponent_ = in_register(_mm512_set1_epi8(0x78));
  __m512i even_ = in_register(_mm512_set1_epi16(16));
  __m512i odd_ = in_register(_mm512_set1_epi16(16 << 8));
  __m512i kept_ = in_register(_mm512_set1_epi16(static_cast<std::int16_t>(0x87F0)));
  __m512i addend_ = in_register(_mm512_set1_epi16((120 + power) * 128));
};

/// Unpacks e4m3 codes of code_order::bf16_paired_bytes exactly: `vectors` of 64, a multiple of 4. NaN is not among
/// them.
inline void unpack_e4m3(const std::byte* codes, std::int64_t vectors, std::byte* out) noexcept {
  E4m3Unpacker<0>().unpack(codes, vectors, _mm512_setzero_si512(), out);
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::avx512

#endif
