// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/accelerator/bits.hpp"
#include "polymoe/layout/accelerator/marlin.hpp"
#include "polymoe/layout/accelerator/permutations.hpp"
#include "polymoe/layout/accelerator/relayout.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// One step from a checkpoint's tensor to a kernel's: a relayout, a padding, or one of the conversions that move bits.
struct FormatStep {
  enum class Kind : std::uint8_t { relayout, transpose, pad, twiddle_fp4, vnni_nibbles, marlin_repack };

  std::string_view name{};
  Kind kind = Kind::relayout;
  Relayout (*permutation)(const ByteMatrix&, std::int64_t) = nullptr;
  std::int64_t parameter =
      0;  ///< of the permutation; transpose: bytes of an element; pad: rows to a multiple of it; marlin_repack: bits
  std::int64_t column_multiple = 1;  ///< pad: columns to a multiple of it

  /// The shape behind the step. Relayouts keep it: what they return is read with the kernel's own strides.
  constexpr ByteMatrix shape_after(const ByteMatrix& before) const {
    if (kind == Kind::transpose) return {before.columns / parameter, before.rows * parameter};
    if (kind != Kind::pad) return before;
    return {round_up(before.rows, parameter), round_up(before.columns, column_multiple)};
  }
};

/// What is done with one expert's tensor, step by step; nothing where there is no step.
struct TensorFormat {
  static constexpr std::size_t capacity = 6;

  std::array<FormatStep, capacity> steps{};
  std::size_t size = 0;

  constexpr TensorFormat& then(const FormatStep& step) {
    steps[size++] = step;
    return *this;
  }

  constexpr TensorFormat& then_if(bool condition, const FormatStep& step) { return condition ? then(step) : *this; }

  constexpr ByteMatrix shape_after(ByteMatrix shape) const {
    for (std::size_t i = 0; i < size; ++i) shape = steps[i].shape_after(shape);
    return shape;
  }

  constexpr const FormatStep* begin() const { return steps.data(); }
  constexpr const FormatStep* end() const { return steps.data() + size; }
};

namespace detail {

/// Marlin reads [K, N]; a row of the checkpoint holds one output's K values, packed along K as GPTQ packs a column.
struct RowPacking {
  static constexpr std::int64_t word(const MarlinShape& shape, std::int64_t k, std::int64_t n) {
    return n * (shape.k / shape.values_in_word()) + k / shape.values_in_word();
  }
  static constexpr std::int64_t place(const MarlinShape& shape, std::int64_t k, std::int64_t) {
    return k % shape.values_in_word();
  }
};

constexpr MarlinShape marlin_shape(const ByteMatrix& m, std::int64_t bits) {
  return {.k = m.columns * 8 / bits, .n = m.rows, .bits = static_cast<int>(bits)};
}

/// The inverse of a transpose is the transpose of what it made.
template <Executor E>
void transpose_step(const ByteMatrix& m, std::int64_t element, const std::byte* in, std::byte* out, E& executor) {
  switch (element) {
    case 1: return transpose<1>(m, in, out, executor);
    case 2: return transpose<2>(m, in, out, executor);
    case 4: return transpose<4>(m, in, out, executor);
    default: return relayout(transpose(m, element), in, out, executor);
  }
}

template <Direction direction, Executor E>
void run_step(const FormatStep& step, const ByteMatrix& before, const std::byte* in, std::byte* out, E& executor) {
  constexpr bool forward = direction == Direction::forward;
  switch (step.kind) {
    case FormatStep::Kind::relayout:
      return relayout<direction>(step.permutation(before, step.parameter), in, out, executor);
    case FormatStep::Kind::transpose: return relayout<direction>(transpose(before, step.parameter), in, out, executor);
    case FormatStep::Kind::pad:
      return forward ? pad(before, step.shape_after(before), in, out, executor)
                     : crop(step.shape_after(before), before, in, out, executor);
    case FormatStep::Kind::twiddle_fp4: return twiddle_fp4<direction>(in, out, before.bytes(), executor);
    case FormatStep::Kind::vnni_nibbles: return cpu_vnni_pack_nibbles<direction>(before, in, out, executor);
    case FormatStep::Kind::marlin_repack: {
      const MarlinShape shape = marlin_shape(before, step.parameter);
      std::vector<std::uint32_t> words(static_cast<std::size_t>(shape.words()));
      std::vector<std::uint32_t> result(words.size());
      std::memcpy(words.data(), in, words.size() * 4);
      forward ? marlin_repack<RowPacking>(shape, words.data(), result.data(), executor)
              : marlin_unpack<RowPacking>(shape, words.data(), result.data(), executor);
      std::memcpy(out, result.data(), result.size() * 4);
      return;
    }
  }
}

}  // namespace detail

/// One expert's tensor in the kernel's format. Allocates: this is load time.
template <Executor E>
std::vector<std::byte> convert(const TensorFormat& format, ByteMatrix shape, const std::byte* tensor, E& executor) {
  std::vector<std::byte> current(tensor, tensor + shape.bytes());
  for (const FormatStep& step : format) {
    const ByteMatrix after = step.shape_after(shape);
    std::vector<std::byte> next(static_cast<std::size_t>(after.bytes()));
    detail::run_step<Direction::forward>(step, shape, current.data(), next.data(), executor);
    current.swap(next);
    shape = after;
  }
  return current;
}

/// The checkpoint's tensor of `shape` back from the kernel's format.
template <Executor E>
std::vector<std::byte> restore(const TensorFormat& format, const ByteMatrix& shape, const std::byte* tensor,
                               E& executor) {
  std::array<ByteMatrix, TensorFormat::capacity + 1> shapes{shape};
  for (std::size_t i = 0; i < format.size; ++i) shapes[i + 1] = format.steps[i].shape_after(shapes[i]);
  std::vector<std::byte> current(tensor, tensor + shapes[format.size].bytes());
  for (std::size_t i = format.size; i-- > 0;) {
    std::vector<std::byte> previous(static_cast<std::size_t>(shapes[i].bytes()));
    detail::run_step<Direction::inverse>(format.steps[i], shapes[i], current.data(), previous.data(), executor);
    current.swap(previous);
  }
  return current;
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
