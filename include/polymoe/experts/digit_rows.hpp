// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/microkernel/digit_products.hpp"
#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_DIGIT_PRODUCTS)

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "polymoe/layout/code_order.hpp"
#include "polymoe/layout/decode.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/bf16.hpp"
#include "polymoe/numeric/exponent.hpp"
#include "polymoe/numeric/vector.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// Few rows of bf16 or fp32 as integers of 23 bits with an exponent for each row, in three signed digits of 8 bits:
///
///     x[k] = 2^exponent * 2^-21 * (65536 d0[k] + 256 d1[k] + d2[k])
///
/// bf16 is exact down to 2^-14 of the row's greatest magnitude; what is smaller, and fp32, is rounded to 2^-22 of it,
/// which is what fp32 keeps of a sum that the greatest element takes part in. Subnormal bf16 numbers are read as zeros, as
/// products of bf16 do.
template <class Element>
requires(std::same_as<Element, bf16> || std::same_as<Element, float>) class DigitRows {
 public:
  static constexpr std::int64_t most_rows = 4;

  /// Of `rows` rows of `runs` runs of 32 K with sums of their own for up to two parts of each.
  static std::int64_t memory_bytes(std::int64_t rows, std::int64_t runs) noexcept {
    return rows * runs * (digits * run_k + 2 * std::int64_t{sizeof(float)}) + 64;
  }

  /// `parts` of a run, 1 or 2, have sums of their own.
  DigitRows(std::int64_t rows, std::int64_t parts, std::byte* memory) noexcept
      : rows_(rows), parts_(parts), bytes_(memory) {}

  microkernel::DigitOperand operand() const noexcept { return {bytes_, sums_, sums_stride_, exponents_}; }

  /// Reads one block of rows ([K steps][rows][64 bytes]). False where a row is not finite, or of subnormal fp32 numbers.
  bool read(const std::byte* activations, std::int64_t runs) noexcept {
    sums_ = reinterpret_cast<float*>(bytes_ + (runs * digits * rows_ * run_k + 63) / 64 * 64);
    sums_stride_ = runs * parts_;
    for (std::int64_t row = 0; row < rows_; ++row) {
      if (!read_row(activations + row * microkernel::row_step_bytes, row, runs)) return false;
    }
    return true;
  }

 private:
  using V = vector::Native;
  using I = vector::Int<V>;
  static constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  static constexpr std::int64_t run_k = layout::run_k;
  static constexpr std::int64_t digits = microkernel::DigitOperand::digits;
  static constexpr std::int64_t step_k = microkernel::step_k<Element>;

  /// Calls f(k, x[k .. k + width)) for a run of a row that begins at `from`.
  template <class F>
  [[gnu::always_inline]] void for_run(const std::byte* from, F f) const noexcept {
    for (std::int64_t k = 0; k < run_k; k += width) {
      const std::byte* const step = from + k / step_k * rows_ * microkernel::row_step_bytes;
      f(k, vector::load<V>(reinterpret_cast<const Element*>(step) + k % step_k));
    }
  }

  bool read_row(const std::byte* from, std::int64_t row, std::int64_t runs) noexcept {
    const std::int64_t run_bytes = run_k / step_k * rows_ * microkernel::row_step_bytes;
    const std::int32_t greatest = greatest_magnitude(from, runs, run_bytes);
    const std::int32_t exponent = greatest >> 23;
    const bool is_subnormal = exponent == 0 && greatest != 0;
    if (exponent == 0xFF || (is_subnormal && std::same_as<Element, float>)) return false;
    exponents_[row] = std::max(exponent, 1) - 127;
    // 2^(21 - exponents_[row]) in two factors that fp32 has.
    const V first_factor(power_of_two(-exponents_[row] / 2));
    const V second_factor(is_subnormal ? 0.0F : power_of_two(21 - exponents_[row] + exponents_[row] / 2));
    std::byte* to = bytes_ + row * run_k;
    float* sums = sums_ + row * sums_stride_;
    const std::int64_t part_k = run_k / parts_;
    for (std::int64_t run = 0; run < runs; ++run, from += run_bytes, to += digits * rows_ * run_k) {
      I sum(0);
      for_run(from, [&](std::int64_t k, V x) {
        const I integers = xsimd::nearbyint_as_int(x * first_factor * second_factor);
        // The digits' own signs: two of them are from -128 to 127 where plain bytes would be from 0 to 255.
        const I moved = integers + I(0x8080);
        auto* const bytes = reinterpret_cast<std::uint8_t*>(to + k);
        vector::store_lowest_bytes<V>(bytes, moved >> 16);
        vector::store_lowest_bytes<V>(bytes + rows_ * run_k, (moved >> 8) ^ I(0x80));
        vector::store_lowest_bytes<V>(bytes + 2 * rows_ * run_k, moved ^ I(0x80));
        sum = sum + integers;
        if ((k + width) % part_k == 0) {
          *sums++ = vector::sum(layout::to_number<V>(sum)) * 0x1p-21F;
          sum = I(0);
        }
      });
    }
    return true;
  }

  /// Its bits: those of an infinity or a NaN where an element is one.
  std::int32_t greatest_magnitude(const std::byte* from, std::int64_t runs, std::int64_t run_bytes) const noexcept {
    I greatest(0);
    for (std::int64_t run = 0; run < runs; ++run, from += run_bytes) {
      for_run(from, [&](std::int64_t, V x) { greatest = xsimd::max(greatest, vector::to_bits(vector::abs(x))); });
    }
    alignas(64) std::int32_t all[width];
    greatest.store_aligned(all);
    return *std::max_element(all, all + width);
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
