// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "polymoe/config/layer.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/storage.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// The reference's kernel format: every weight dequantized to Real, gate rows before up rows, then W2, then the biases.
template <class Real>
struct Dense {
  static constexpr std::string_view name() { return std::is_same_v<Real, double> ? "dense_f64" : "dense_f32"; }

  /// One expert's arrays.
  template <class T>
  struct Expert {
    T* w13;       ///< [2I, H] or [I, H]
    T* w2;        ///< [H, I]
    T* w13_bias;  ///< [2I] or [I]
    T* w2_bias;   ///< [H]
  };

  static constexpr std::size_t expert_bytes(const LayerShape& shape, const Storage&) {
    const std::int64_t weights = (shape.w13_rows() + shape.intermediate_size) * shape.hidden_size;
    const std::int64_t biases = shape.w13_rows() + shape.hidden_size;
    return (static_cast<std::size_t>(weights + biases) * sizeof(Real) + 63) / 64 * 64;
  }

  template <class Byte>
  static auto expert(Byte* memory, const LayerShape& shape) {
    using T = std::conditional_t<std::is_const_v<Byte>, const Real, Real>;
    T* const w13 = reinterpret_cast<T*>(memory);
    T* const w2 = w13 + shape.w13_rows() * shape.hidden_size;
    T* const w13_bias = w2 + shape.hidden_size * shape.intermediate_size;
    return Expert<T>{w13, w2, w13_bias, w13_bias + shape.w13_rows()};
  }

  template <Executor E>
  static void pack_expert(std::byte* memory, const quant::ExpertCheckpoint& checkpoint, const LayerShape& shape,
                          const Storage&, E& executor) {
    const Expert<Real> packed = expert(memory, shape);
    executor.parallel_for(shape.w13_rows(), [&](std::int64_t r, int) {
      const std::int64_t i = r % shape.intermediate_size;
      const bool up = r >= shape.intermediate_size;
      const std::int64_t stored =
          up ? checkpoint.up_row(i, shape.intermediate_size) : checkpoint.gate_row(i, shape.intermediate_size);
      pack_row(packed.w13 + r * shape.hidden_size, checkpoint.w13, stored);
      packed.w13_bias[r] = static_cast<Real>(checkpoint.w13.bias(stored));
    });
    executor.parallel_for(shape.hidden_size, [&](std::int64_t r, int) {
      pack_row(packed.w2 + r * shape.intermediate_size, checkpoint.w2, r);
      packed.w2_bias[r] = static_cast<Real>(checkpoint.w2.bias(r));
    });
  }

 private:
  static void pack_row(Real* row, const quant::WeightMatrix& matrix, std::int64_t stored_row) {
    for (std::int64_t k = 0; k < matrix.columns; ++k) row[k] = static_cast<Real>(matrix.value(stored_row, k));
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::layout
