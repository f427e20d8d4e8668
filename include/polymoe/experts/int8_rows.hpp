// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(__AVX512F__) && defined(__AVX512BW__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// The numbers of a row: those of a tensor, each times `weight`, which rounds once, ...
template <class T>
struct WeightedRow {
  const T* first;
  float weight;

  /// Those from column i on.
  template <class V>
  V load(std::int64_t i) const noexcept {
    return vector::load<V>(first + i) * V(weight);
  }
  template <class V>
  V load(std::int64_t i, std::int64_t count) const noexcept {
    return vector::load<V>(first + i, static_cast<std::size_t>(count)) * V(weight);
  }
};

/// ... or those of the intermediate in fp32, 16 of them every `run_stride` floats.
struct WideRow {
  const float* first;
  std::int64_t run_stride;

  template <class V>
  V load(std::int64_t i) const noexcept {
    return vector::load<V>(at(i));
  }
  template <class V>
  V load(std::int64_t i, std::int64_t count) const noexcept {
    return vector::load<V>(at(i), static_cast<std::size_t>(count));
  }

  void copy(std::int64_t n, float* to) const noexcept {
    constexpr std::int64_t run = microkernel::tile_columns;
    for (std::int64_t i = 0; i < n; i += run) std::copy_n(at(i), std::min(run, n - i), to + i);
  }

 private:
  const float* at(std::int64_t i) const noexcept {
    return first + i / microkernel::tile_columns * run_stride + i % microkernel::tile_columns;
  }
};

/// Where a row's K steps go: row `row` of an operand of `steps` K steps, ...
class OperandRow {
 public:
  OperandRow(const microkernel::RowBlocks& blocks, std::int64_t row, std::int64_t steps, std::byte* operand) noexcept
      : blocks_(blocks),
        block_(row / blocks.height),
        steps_(steps),
        first_(operand + row % blocks.height * microkernel::row_step_bytes) {}

  std::int64_t steps() const noexcept { return steps_; }
  std::byte* step(std::int64_t index) const noexcept { return first_ + blocks_.block_offset(block_, index, steps_); }

 private:
  const microkernel::RowBlocks& blocks_;
  std::int64_t block_;
  std::int64_t steps_;
  std::byte* first_;
};

/// ... or one after the other.
class DenseRow {
 public:
  DenseRow(std::byte* first, std::int64_t steps) noexcept : first_(first), steps_(steps) {}

  std::int64_t steps() const noexcept { return steps_; }
  std::byte* step(std::int64_t index) const noexcept { return first_ + index * microkernel::row_step_bytes; }

 private:
  std::byte* first_;
  std::int64_t steps_;
};

#if defined(__AVX512F__) && defined(__AVX512BW__)

namespace detail {

/// 64 numbers' codes: codes_of(i) is those of 16 numbers from i on as 32-bit integers.
template <class F>
[[gnu::always_inline]] inline __m512i int8_step(F codes_of) noexcept {
  const __m512i low = _mm512_packs_epi32(codes_of(0), codes_of(16));
  const __m512i high = _mm512_packs_epi32(codes_of(32), codes_of(48));
  // Packing goes lane by lane: each holds four numbers of every sixteen.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
}

/// x / divisor, rounded once, from the divisor's rounded reciprocal, for quotients that round to an integer other than 0
/// and scales with has_exact_reciprocal: the first correction leaves less than an ulp, so the second one is exact
/// (Markstein's theorem). Lesser quotients stay below one half.
[[gnu::always_inline]] inline __m512 divide(__m512 x, __m512 divisor, __m512 reciprocal) noexcept {
  __m512 quotient = _mm512_mul_ps(x, reciprocal);
  quotient = _mm512_fmadd_ps(_mm512_fnmadd_ps(quotient, divisor, x), reciprocal, quotient);
  return _mm512_fmadd_ps(_mm512_fnmadd_ps(quotient, divisor, x), reciprocal, quotient);
}

/// No step of divide overflows, and none loses bits of a quotient of 1/4 or more.
constexpr bool has_exact_reciprocal(float scale) {
  return scale > 0x1p-60F && scale < 0x1p60F;
}

}  // namespace detail

/// Quantizes n numbers by int8_dynamic_token (numerics.md, section 4: the same IEEE operations everywhere), stores
/// the codes with zeros where K is padded, and returns the scale; NaN where there is a NaN, which makes the row's sums
/// NaN.
template <class Numbers, class Row>
float store_int8_row(const Numbers& numbers, std::int64_t n, const Row& row) noexcept {
  using V = vector::Native;
  static_assert(vector::width<V> == 16);
  constexpr std::int64_t of_step = microkernel::row_step_bytes;
  const auto load = [&](std::int64_t i) -> __m512 { return numbers.template load<V>(i); };
  const auto load_last = [&](std::int64_t i) -> __m512 { return numbers.template load<V>(i, n - i); };

  // Magnitudes order like their codes, and those of NaNs come above infinity's.
  __m512i greatest[4] = {};
  const auto meet = [](__m512i& most, __m512 x) {
    most = _mm512_max_epu32(most, _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7FFFFFFF)));
  };
  std::int64_t i = 0;
  for (; i + of_step <= n; i += of_step) {
    meet(greatest[0], load(i));
    meet(greatest[1], load(i + 16));
    meet(greatest[2], load(i + 32));
    meet(greatest[3], load(i + 48));
  }
  for (; i + 16 <= n; i += 16) meet(greatest[0], load(i));
  if (i < n) meet(greatest[0], load_last(i));
  const std::uint32_t bits = _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_max_epu32(greatest[0], greatest[1]), _mm512_max_epu32(greatest[2], greatest[3])));
  float maximum;
  std::memcpy(&maximum, &bits, sizeof maximum);

  const float scale = int8_scale(maximum);
  const __m512 divisor = _mm512_set1_ps(scale);
  const bool is_zero = !(scale > 0.0F || scale < 0.0F);
  std::int64_t step = 0;
  if (detail::has_exact_reciprocal(scale)) {
    const __m512 reciprocal = _mm512_set1_ps(1.0F / scale);
    for (; (step + 1) * of_step <= n; ++step) {
      const __m512i codes = detail::int8_step([&](std::int64_t part) {
        return _mm512_cvtps_epi32(detail::divide(load(step * of_step + part), divisor, reciprocal));
      });
      _mm512_store_si512(row.step(step), codes);
    }
  }
  for (; step < row.steps(); ++step) {
    const __m512i codes = detail::int8_step([&](std::int64_t part) {
      const std::int64_t from = step * of_step + part;
      if (is_zero || from >= n) return _mm512_setzero_si512();
      const __m512 x = from + 16 <= n ? load(from) : load_last(from);
      return _mm512_max_epi32(_mm512_min_epi32(_mm512_cvtps_epi32(_mm512_div_ps(x, divisor)), _mm512_set1_epi32(127)),
                              _mm512_set1_epi32(-127));
    });
    _mm512_store_si512(row.step(step), codes);
  }
  return scale;
}

#else

/// As above.
template <class Numbers, class Row>
float store_int8_row(const Numbers& numbers, std::int64_t n, const Row& row) noexcept {
  const auto value = [&](std::int64_t i) { return numbers.template load<float>(i); };
  float maximum = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x[2] = {maximum, value(i)};
    maximum = absolute_maximum(x, 2);
  }
  const float scale = int8_scale(maximum);
  constexpr std::int64_t of_step = microkernel::row_step_bytes;
  for (std::int64_t step = 0; step < row.steps(); ++step) {
    std::byte* const to = row.step(step);
    for (std::int64_t part = 0; part < of_step; ++part) {
      const std::int64_t i = step * of_step + part;
      to[part] = static_cast<std::byte>(i < n ? quantize_int8(value(i), scale) : std::int8_t{0});
    }
  }
  return scale;
}

#endif

}  // namespace polymoe::inline POLYMOE_ISA::experts
