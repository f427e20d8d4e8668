// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/microkernel/digit_products.hpp"
#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

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

  static std::int64_t memory_bytes(std::int64_t rows, std::int64_t steps) noexcept {
    return steps * rows * (digits * step_k + 2 * std::int64_t{sizeof(float)}) + 64;
  }

  /// `parts` of a step have sums of their own.
  DigitRows(std::int64_t rows, std::int64_t parts, std::byte* memory) noexcept
      : rows_(rows), parts_(parts), bytes_(memory) {}

  microkernel::DigitOperand operand() const noexcept { return {bytes_, sums_, exponents_}; }

  /// Reads one block of rows ([steps][rows][32] bf16). False where a row is not finite.
  bool read(const std::byte* activations, std::int64_t steps) noexcept {
    sums_ = reinterpret_cast<float*>(bytes_ + (steps * digits * rows_ * step_k + 63) / 64 * 64);
    for (std::int64_t row = 0; row < rows_; ++row) {
      if (!read_row(activations + row * microkernel::row_step_bytes, row, steps)) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t digits = microkernel::DigitOperand::digits;
  static constexpr std::int64_t step_k = microkernel::step_k<bf16>;

  bool read_row(const std::byte* activations, std::int64_t row, std::int64_t steps) noexcept {
    const std::int64_t stride = rows_ * microkernel::row_step_bytes;
    __m512i greatest = _mm512_setzero_si512();
    for (std::int64_t step = 0; step < steps; ++step) {
      const __m512i magnitude =
          _mm512_and_si512(_mm512_loadu_si512(activations + step * stride), _mm512_set1_epi16(0x7FFF));
      greatest = _mm512_max_epu16(greatest, magnitude);
    }
    const __m512i words = _mm512_max_epu16(greatest, _mm512_srli_epi32(greatest, 16));
    const std::int32_t exponent =
        static_cast<std::int32_t>(_mm512_reduce_max_epu32(_mm512_and_si512(words, _mm512_set1_epi32(0xFFFF)))) >> 7;
    if (exponent == 0xFF) return false;
    exponents_[row] = exponent - 126;
    // No element of a row of subnormal numbers is read as more than 0.
    const __m512 shift = _mm512_set1_ps(static_cast<float>(exponent == 0 ? -1000 : 148 - exponent));
    for (std::int64_t step = 0; step < steps; ++step) {
      const __m512i pairs = _mm512_loadu_si512(activations + step * stride);
      const __m512i first = integers(_mm512_castsi512_si256(pairs), shift);
      const __m512i last = integers(_mm512_extracti64x4_epi64(pairs, 1), shift);
      // The digits' own signs: two of them are from -128 to 127 where plain bytes would be from 0 to 255.
      const __m512i moved_first = _mm512_add_epi32(first, _mm512_set1_epi32(0x8080));
      const __m512i moved_last = _mm512_add_epi32(last, _mm512_set1_epi32(0x8080));
      std::byte* const to = bytes_ + (step * digits * rows_ + row) * step_k;
      store_digit(to, _mm512_srai_epi32(moved_first, 16), _mm512_srai_epi32(moved_last, 16), 0);
      store_digit(to + rows_ * step_k, _mm512_srli_epi32(moved_first, 8), _mm512_srli_epi32(moved_last, 8), 0x80);
      store_digit(to + 2 * rows_ * step_k, moved_first, moved_last, 0x80);
      float* const sums = sums_ + step * parts_ * rows_ + row;
      if (parts_ == 1) {
        sums[0] = sum(_mm512_add_epi32(first, last));
      } else {
        sums[0] = sum(first);
        sums[rows_] = sum(last);
      }
    }
    return true;
  }

  static float sum(__m512i integers) noexcept {
    return static_cast<float>(_mm512_reduce_add_epi32(integers)) * 0x1p-22F;
  }

  static __m512i integers(__m256i words, __m512 shift) noexcept {
    const __m512 numbers = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
    return _mm512_cvtps_epi32(_mm512_scalef_ps(numbers, shift));
  }

  static void store_digit(std::byte* to, __m512i first, __m512i last, int sign) noexcept {
    const __m256i digit =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(first)), _mm512_cvtepi32_epi8(last), 1);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_xor_si256(digit, _mm256_set1_epi8(static_cast<char>(sign))));
  }

  std::int64_t rows_;
  std::int64_t parts_;
  std::byte* bytes_;
  float* sums_ = nullptr;
  std::int32_t exponents_[most_rows] = {};
};

}  // namespace polymoe::inline POLYMOE_ISA::experts

#endif
