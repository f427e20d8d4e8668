// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "polymoe/config/view.hpp"
#include "polymoe/experts/plan.hpp"
#include "polymoe/microkernel/block.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// One K step of a row, 64 bytes, from `count` > 0 elements of T that may be unaligned; zeros after them.
template <class V, class Element, class T>
[[gnu::always_inline]] inline void convert_step(std::byte* step, const std::byte* elements,
                                                std::int64_t count) noexcept {
  constexpr std::int64_t full = microkernel::step_k<Element>;
  if constexpr (std::is_same_v<Element, T>) {
    if (count >= full) {
      std::memcpy(step, elements, 64);
    } else {
      std::memset(step, 0, 64);
      std::memcpy(step, elements, static_cast<std::size_t>(count) * sizeof(T));
    }
  } else {
    constexpr auto width = static_cast<std::int64_t>(vector::width<V>);
    auto* const to = reinterpret_cast<Element*>(step);
    const auto* from = reinterpret_cast<const T*>(elements);
    for (std::int64_t i = 0; i < full; i += width) {
      const V value = count - i >= width ? vector::load<V>(from + i)
                      : count > i        ? vector::load<V>(from + i, static_cast<std::size_t>(count - i))
                                         : V(0.0F);
      vector::store(to + i, value);
    }
  }
}

/// Gathers rows of hidden_states for blocks [begin, end) of a chunk into the microkernel's order, as Elements, with
/// zeros where K is padded.
template <class V, class Element, class T>
void gather_blocks(const TokensView& hidden_states, const RoutedRow* rows, const microkernel::RowBlocks& blocks,
                   std::int64_t begin, std::int64_t end, std::int64_t steps, std::byte* activations) noexcept {
  constexpr std::int64_t elements_of_step = microkernel::step_k<Element>;
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t count = blocks.rows_in(block);
    std::array<const std::byte*, microkernel::tile_rows> sources{};
    for (std::int64_t i = 0; i < count; ++i) {
      sources[static_cast<std::size_t>(i)] = hidden_states.row(rows[block * blocks.height + i].token);
    }
    for (std::int64_t step = 0; step < steps; ++step) {
      std::byte* to = activations + blocks.block_offset(block, step, steps);
      const std::int64_t k = step * elements_of_step;
      for (std::int64_t i = 0; i < blocks.height; ++i, to += microkernel::row_step_bytes) {
        const std::int64_t left = hidden_states.columns - k;
        if (i < count && left > 0) {
          convert_step<V, Element, T>(
              to, sources[static_cast<std::size_t>(i)] + k * static_cast<std::int64_t>(sizeof(T)), left);
        } else {
          std::memset(to, 0, microkernel::row_step_bytes);
        }
      }
    }
  }
}

/// Zeros where nothing else is written to a block of an operand: in the rows that only fill it, and from K step
/// `written_steps` on in all of them.
inline void clear_padding(const microkernel::RowBlocks& blocks, std::int64_t block, std::int64_t written_steps,
                          std::int64_t steps, std::byte* operand) noexcept {
  const std::int64_t rows = blocks.rows_in(block);
  for (std::int64_t step = rows < blocks.height ? 0 : written_steps; step < steps; ++step) {
    const std::int64_t kept = step < written_steps ? rows : 0;
    std::memset(operand + blocks.block_offset(block, step, steps) + kept * microkernel::row_step_bytes, 0,
                static_cast<std::size_t>((blocks.height - kept) * microkernel::row_step_bytes));
  }
}

}  // namespace polymoe::inline POLYMOE_ISA::experts
