// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/microkernel/digit_products.hpp"
#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)

#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/avx512_codes.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/bf16.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Few rows of bf16 as integers of 23 bits with an exponent for each row, in three signed digits of 8 bits:
///
///     x[k] = 2^exponent * 2^-22 * (65536 d0[k] + 256 d1[k] + d2[k])
///
/// Exact down to 2^-14 of the row's greatest magnitude; what is smaller is rounded to 2^-22 of it, which is what fp32
/// keeps of a sum that the greatest element takes part in. Subnormal bf16 numbers are read as zeros.
class DigitRows {
 public:
  static constexpr std::int64_t most_rows = 4;

  /// Of `rows` rows of `steps` steps with sums of their own for up to two parts of each.
  static std::int64_t memory_bytes(std::int64_t rows, std::int64_t steps) noexcept {
    return rows * (steps * digits * step_k + sums_stride(2 * steps) * std::int64_t{sizeof(float)}) + 64;
  }

  /// `parts` of a step, 1 or 2, have sums of their own.
  DigitRows(std::int64_t rows, std::int64_t parts, std::byte* memory) noexcept
      : rows_(rows), parts_(parts), bytes_(memory) {}

  microkernel::DigitOperand operand() const noexcept { return {bytes_, sums_, sums_stride_, exponents_}; }

  /// Reads one block of rows ([steps][rows][32] bf16). False where a row is not finite.
  bool read(const std::byte* activations, std::int64_t steps) noexcept {
    sums_ = reinterpret_cast<float*>(bytes_ + (steps * digits * rows_ * step_k + 63) / 64 * 64);
    sums_stride_ = sums_stride(steps * parts_);
    for (std::int64_t row = 0; row < rows_; ++row) {
      if (!read_row(activations + row * microkernel::row_step_bytes, row, steps)) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t digits = microkernel::DigitOperand::digits;
  static constexpr std::int64_t step_k = microkernel::step_k<bf16>;

  /// Sums are made 16 at a time.
  static constexpr std::int64_t sums_stride(std::int64_t sums) noexcept { return (sums + 15) / 16 * 16; }

  bool read_row(const std::byte* activations, std::int64_t row, std::int64_t steps) noexcept {
    const std::int64_t stride = rows_ * microkernel::row_step_bytes;
    const std::int32_t exponent = greatest_exponent(activations, steps, stride);
    if (exponent == 0xFF) return false;
    exponents_[row] = exponent - 126;
    // No element of a row of subnormal numbers is read as more than 0.
    const __m512 shift = _mm512_set1_ps(static_cast<float>(exponent == 0 ? -1000 : 148 - exponent));
    const __m512i low_bytes = _mm512_loadu_si512(order_of_bytes<0, 1>.data());
    const __m512i high_bytes = _mm512_loadu_si512(order_of_bytes<2, 2>.data());
    std::byte* to = bytes_ + row * step_k;
    float* sums = sums_ + row * sums_stride_;
    __m512i of_steps[16];
    std::int64_t count = 0;
    const auto add_up = [&](__m512i integers) {
      of_steps[count] = integers;
      if (++count == 16) {
        _mm512_storeu_ps(sums, _mm512_mul_ps(_mm512_cvtepi32_ps(sums_of(of_steps)), _mm512_set1_ps(0x1p-22F)));
        sums += 16;
        count = 0;
      }
    };
    for (std::int64_t step = 0; step < steps; ++step, activations += stride, to += digits * rows_ * step_k) {
      const __m512i pairs = _mm512_loadu_si512(activations);
      const __m512i first = integers(_mm512_castsi512_si256(pairs), shift);
      const __m512i last = integers(_mm512_extracti64x4_epi64(pairs, 1), shift);
      // The digits' own signs: two of them are from -128 to 127 where plain bytes would be from 0 to 255.
      const __m512i moved_first = _mm512_add_epi32(first, _mm512_set1_epi32(0x8080));
      const __m512i moved_last = _mm512_add_epi32(last, _mm512_set1_epi32(0x8080));
      const __m512i low = _mm512_xor_si512(_mm512_permutex2var_epi8(moved_first, low_bytes, moved_last),
                                           _mm512_set1_epi8(static_cast<char>(0x80)));
      const __m512i high = _mm512_permutex2var_epi8(moved_first, high_bytes, moved_last);
      store_digit(to, _mm512_castsi512_si256(high));
      store_digit(to + rows_ * step_k, _mm512_extracti64x4_epi64(low, 1));
      store_digit(to + 2 * rows_ * step_k, _mm512_castsi512_si256(low));
      if (parts_ == 1) {
        add_up(_mm512_add_epi32(first, last));
      } else {
        add_up(first);
        add_up(last);
      }
    }
    while (count > 0) add_up(_mm512_setzero_si512());
    return true;
  }

  /// The biased exponent of the greatest magnitude of a row.
  static std::int32_t greatest_exponent(const std::byte* row, std::int64_t steps, std::int64_t stride) noexcept {
    __m512i greatest = _mm512_setzero_si512();
    for (std::int64_t step = 0; step < steps; ++step) {
      const __m512i magnitude = _mm512_and_si512(_mm512_loadu_si512(row + step * stride), _mm512_set1_epi16(0x7FFF));
      greatest = _mm512_max_epu16(greatest, magnitude);
    }
    const __m512i of_pairs = _mm512_max_epu16(greatest, _mm512_srli_epi32(greatest, 16));
    const auto word = _mm512_reduce_max_epu32(_mm512_and_si512(of_pairs, _mm512_set1_epi32(0xFFFF)));
    return static_cast<std::int32_t>(word >> 7);
  }

  /// The sum of each of 16 vectors, in their order. (That of xsimd 8.1's haddp is another one.)
  static __m512i sums_of(const __m512i (&vectors)[16]) noexcept {
    __m512i pairs[8];
    for (int i = 0; i < 8; ++i) {
      const __m512i first = vectors[2 * i];
      const __m512i second = vectors[2 * i + 1];
      pairs[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(first, second), _mm512_unpackhi_epi32(first, second));
    }
    __m512i fours[4];
    for (int i = 0; i < 4; ++i) {
      const __m512i first = pairs[2 * i];
      const __m512i second = pairs[2 * i + 1];
      fours[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second));
    }
    return add_quarters(add_quarters(fours[0], fours[1]), add_quarters(fours[2], fours[3]));
  }

  /// Quarters 0 + 1 and 2 + 3 of both.
  static __m512i add_quarters(__m512i first, __m512i second) noexcept {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(first, second, 0x88), _mm512_shuffle_i32x4(first, second, 0xDD));
  }

  static __m512i integers(__m256i words, __m512 shift) noexcept {
    return _mm512_cvtps_epi32(_mm512_scalef_ps(layout::avx512::widen(words), shift));
  }

  /// Byte `first` of each of 32 numbers, and then byte `last` of each.
  template <int first, int last>
  alignas(64) static constexpr auto order_of_bytes = [] {
    std::array<std::uint8_t, 64> order{};
    for (std::size_t i = 0; i < 32; ++i) {
      order[i] = static_cast<std::uint8_t>(4 * i + first);
      order[32 + i] = static_cast<std::uint8_t>(4 * i + last);
    }
    return order;
  }();

  static void store_digit(std::byte* to, __m256i digit) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), digit);
  }

  std::int64_t rows_;
  std::int64_t parts_;
  std::byte* bytes_;
  float* sums_ = nullptr;
  std::int64_t sums_stride_ = 0;
  std::int32_t exponents_[most_rows] = {};
};

}  // namespace polymoe::inline POLYMOE_ISA::experts

#endif
