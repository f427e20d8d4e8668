// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Quantizes n numbers by int8_dynamic_token (numerics.md, section 4: the same IEEE operations everywhere), stores
/// the codes as row `row` of an operand with zeros where K is padded, and returns the scale; NaN where there is a NaN,
/// which makes the row's sums NaN.
#if defined(__AVX512F__) && defined(__AVX512BW__)

inline float store_int8_row(const float* values, std::int64_t n, const microkernel::RowBlocks& blocks, std::int64_t row,
                            std::int64_t steps, std::byte* operand) noexcept {
  const auto mask_of = [n](std::int64_t i) {
    return n - i >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>(n > i ? (1U << (n - i)) - 1U : 0U);
  };
  // Magnitudes order like their codes, and those of NaNs come above infinity's.
  __m512i greatest = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < n; i += 16) {
    const __m512i x = _mm512_maskz_loadu_epi32(mask_of(i), values + i);
    greatest = _mm512_max_epu32(greatest, _mm512_and_si512(x, _mm512_set1_epi32(0x7FFFFFFF)));
  }
  const std::uint32_t bits = _mm512_reduce_max_epu32(greatest);
  float maximum;
  std::memcpy(&maximum, &bits, sizeof maximum);
  const float scale = int8_scale(maximum);
  const __m512 divisor = _mm512_set1_ps(scale);
  const bool is_zero = !(scale > 0.0F || scale < 0.0F);
  constexpr std::int64_t of_step = microkernel::row_step_bytes;
  for (std::int64_t step = 0; step < steps; ++step) {
    auto* const to = operand + blocks.offset(row, step, steps);
    for (std::int64_t part = 0; part < of_step; part += 16) {
      const std::int64_t i = step * of_step + part;
      const __mmask16 mask = is_zero ? __mmask16{0} : mask_of(i);
      const __m512 quotient = _mm512_maskz_div_ps(mask, _mm512_maskz_loadu_ps(mask, values + i), divisor);
      const __m512i code = _mm512_max_epi32(_mm512_min_epi32(_mm512_cvtps_epi32(quotient), _mm512_set1_epi32(127)),
                                            _mm512_set1_epi32(-127));
      _mm_store_si128(reinterpret_cast<__m128i*>(to + part), _mm512_cvtepi32_epi8(code));
    }
  }
  return scale;
}

#else

inline float store_int8_row(const float* values, std::int64_t n, const microkernel::RowBlocks& blocks, std::int64_t row,
                            std::int64_t steps, std::byte* operand) noexcept {
  const float scale = int8_scale(absolute_maximum(values, n));
  constexpr std::int64_t of_step = microkernel::row_step_bytes;
  for (std::int64_t step = 0; step < steps; ++step) {
    std::byte* const to = operand + blocks.offset(row, step, steps);
    for (std::int64_t part = 0; part < of_step; ++part) {
      const std::int64_t i = step * of_step + part;
      to[part] = static_cast<std::byte>(i < n ? quantize_int8(values[i], scale) : std::int8_t{0});
    }
  }
  return scale;
}

#endif

}  // namespace polymoe::inline POLYMOE_ISA::experts
