// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/experts/int8_rows.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/experts/prologue.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/quantize_activation.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

// Mode faithful: rows are quantized as numerics.md, section 4, says, and the values that the codes stand for are
// multiplied. Most of them are bf16 numbers already; those of fp8_dynamic_group128 are rounded once.

namespace polymoe::inline POLYMOE_ISA::experts {

/// Row `row` of a chunk in the microkernel's order, from n fp32 numbers, with zeros where K is padded.
template <class V, class Element>
void store_operand_row(const float* values, std::int64_t n, const microkernel::RowBlocks& blocks, std::int64_t row,
                       std::int64_t steps, std::byte* operand) noexcept {
  constexpr std::int64_t elements_of_step = microkernel::step_k<Element>;
  const OperandRow place(blocks, row, steps, operand);
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t k = step * elements_of_step;
    std::byte* const to = place.step(step);
    if (k < n) {
      convert_step<V, Element, float>(to, reinterpret_cast<const std::byte*>(values + k), n - k);
    } else {
      std::memset(to, 0, microkernel::row_step_bytes);
    }
  }
}

/// Row of x' in fp32: one product where the router weight is applied on the input.
template <class V>
void load_input_row(const TokensView& hidden_states, std::int64_t token, float weight, float* values) noexcept {
  visit_floating_dtype(hidden_states.dtype, [&]<class T>() {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    const auto* const from = reinterpret_cast<const T*>(hidden_states.row(token));
    const std::int64_t n = hidden_states.columns;
    std::int64_t i = 0;
    for (; i + width <= n; i += width) vector::store(values + i, vector::load<V>(from + i) * V(weight));
    if (const auto count = static_cast<std::size_t>(n - i); count > 0) {
      vector::store(values + i, vector::load<V>(from + i, count) * V(weight), count);
    }
  });
}

/// Quantizes n numbers in place by a key that is not none and stores the values as row `row` of an operand.
template <class V, class Element, QuantKey key>
void store_quantized_row(float* values, std::int64_t n, float scale, const microkernel::RowBlocks& blocks,
                         std::int64_t row, std::int64_t steps, std::byte* operand) noexcept {
  quantize_activation_row(key, values, n, scale, values);
  store_operand_row<V, Element>(values, n, blocks, row, steps, operand);
}

/// Quantizes row `token` of x' to int8 codes; returns its scale.
template <class Row>
float store_int8_input_row(const TokensView& hidden_states, std::int64_t token, float weight, const Row& row) noexcept {
  float scale = 1.0F;
  visit_floating_dtype(hidden_states.dtype, [&]<class T>() {
    const WeightedRow<T> numbers{reinterpret_cast<const T*>(hidden_states.row(token)), weight};
    scale = store_int8_row(numbers, hidden_states.columns, row);
  });
  return scale;
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
