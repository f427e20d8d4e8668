// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "polymoe/layout/numbers.hpp"
#include "polymoe/layout/panels.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/microkernel/stream.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

// C[rows x 32] = sum over groups of scale * (A[rows x K of the group] * B[K x 32]) in fp32, of weights that become
// numbers in registers and are never stored.
// Registers: 32 / width sums of a group for each row; as many in all, in memory where there are groups.
// A step:    16 K, 512 numbers. Instructions for a vector of them and its product with one row: bf16 and int8 3; e4m3 5
//            on AVX2, 4.75 on AVX-512; nibbles 4.4 and 2.9. One more for each further row; broadcasts are loads.
// Ceiling:   32 numbers are four vectors on three ports (AVX2) or two on two (AVX-512), for one row 4 and 3 cycles of bf16
//            and int8, 6.5 and 4.8 of e4m3, 6 and 2.9 of nibbles (measured 4, 4; 6, 4.8; 6.8, 3.5). Memory takes 4 for
//            bytes where a core of 2.3 GHz reads 20 GB/s: bf16 is bound by reading, the rest by these instructions.
template <class V>
struct NumberProducts {
  static constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
  /// Whose sums stay in registers.
  static constexpr int most_rows = width == 16 ? 8 : width == 8 ? 3 : 1;

  /// Multiplies the records of a panel by one block of rows; `sums` is [2 halves][rows][16].
  template <layout::NumbersCodec<V> Codec, int rows>
  static void multiply(const std::byte* packed, std::int64_t records, const layout::RecordShape& shape,
                       const std::byte* activations, float* sums, Prefetcher& prefetcher) noexcept {
    using Numbers = typename Codec::template Numbers<V>;
    constexpr std::int64_t steps = Codec::record_k / layout::step_of_numbers;
    const auto* x = reinterpret_cast<const float*>(activations);
    Sums<rows> total;
    clear(total);
    for (; records > 0; --records, packed += shape.bytes) {
      const Numbers numbers(packed, shape);
      if constexpr (Numbers::has_scales) {
        const std::int64_t steps_of_group = numbers.steps_of_group();
        for (std::int64_t group = 0; group < steps; group += steps_of_group) {
          Sums<rows> sum;
          clear(sum);
          for (std::int64_t i = 0; i < steps_of_group; ++i, x += rows * tile_rows) {
            prefetcher.step();
            add_step(numbers, group + i, x, sum);
          }
#pragma GCC unroll 8
          for (std::int64_t v = 0; v < vectors; ++v) {
            const V scale = numbers.scale(group, v);
#pragma GCC unroll 8
            for (int row = 0; row < rows; ++row) {
              total[row][v] = vector::multiply_add(in_units<Numbers>(sum[row][v]), scale, total[row][v]);
            }
          }
        }
      } else {
        for (std::int64_t step = 0; step < steps; ++step, x += rows * tile_rows) {
          prefetcher.step();
          add_step(numbers, step, x, total);
        }
      }
    }
#pragma GCC unroll 8
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int64_t column = v * width;
      float* const to = sums + column / tile_columns * rows * tile_columns + column % tile_columns;
#pragma GCC unroll 8
      for (int row = 0; row < rows; ++row) {
        const V sum = Numbers::has_scales ? total[row][v] : in_units<Numbers>(total[row][v]);
        vector::store(to + row * tile_columns, sum);
      }
    }
  }

 private:
  static constexpr std::int64_t vectors = layout::vectors_of_row<V>;
  template <int rows>
  using Sums = V[rows][vectors];

  template <int rows>
  [[gnu::always_inline]] static void clear(V (&sums)[rows][vectors]) noexcept {
    for (auto& row : sums) {
      for (V& sum : row) sum = V(0.0F);
    }
  }

  template <class Numbers>
  [[gnu::always_inline]] static V in_units(V sum) noexcept {
    return Numbers::unit == 1.0F ? sum : sum * V(Numbers::unit);
  }

  template <class Numbers, int rows>
  [[gnu::always_inline]] static void add_step(const Numbers& numbers, std::int64_t step, const float* x,
                                              V (&sums)[rows][vectors]) noexcept {
    const auto add = [&](std::int64_t k, std::int64_t v, V number) __attribute__((always_inline)) {
#pragma GCC unroll 8
      for (int row = 0; row < rows; ++row) {
        sums[row][v] = vector::multiply_add(V(x[row * tile_rows + k]), number, sums[row][v]);
      }
    };
    numbers.for_step(step, add);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel
