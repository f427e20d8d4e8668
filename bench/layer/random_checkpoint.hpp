// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/layer/repeated_memory.hpp"
#include "bench/layer/scheme.hpp"
#include "bench/layer/shape.hpp"
#include "bench/support/random_bits.hpp"
#include "examples/support/any_executor.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::bench {

using tools::AnyExecutor;

/// True where the scheme's groups divide the rows of both products.
inline bool can_hold(const MeasuredScheme& scheme, const Shape& shape) {
  const std::int64_t group = scheme.group_size > 0                ? scheme.group_size
                             : scheme.keys.weight.group.rows == 1 ? scheme.keys.weight.group.columns
                                                                  : 1;
  return shape.hidden_size % group == 0 && shape.intermediate_size % group == 0;
}

/// A layer's checkpoint tensors, filled with random codes of a scheme: as fast to make as memory allows, with no
/// quantization of anything. All experts are equal unless they are held, so that a checkpoint takes little more room
/// than one expert. All codes are numbers (no NaN), and results stay in a normal range.
class RandomCheckpoint {
 public:
  /// `held`: all experts are in memory, and differ.
  RandomCheckpoint(const Shape& shape, const MeasuredScheme& scheme, const AnyExecutor& executor, bool held = false)
      : scheme_(scheme), experts_(shape.num_experts), held_(held) {
    checkpoint_.w13_layout = shape.w13_layout;
    add(checkpoint_.w13, w13_, 2 * shape.intermediate_size, shape.hidden_size, shape.biases);
    add(checkpoint_.w2, w2_, shape.hidden_size, shape.intermediate_size, shape.biases);
    fill(w13_, 1, executor);
    fill(w2_, 2, executor);
  }

  const MoECheckpoint& checkpoint() const { return checkpoint_; }

  /// As the tensors of one expert count them.
  std::size_t expert_bytes() const { return w13_.expert_bytes() + w2_.expert_bytes(); }

 private:
  struct Memory {
    RepeatedMemory weight, scale, scale_2, bias;
    std::size_t expert_bytes() const { return weight.block() + scale.block() + scale_2.block() + bias.block(); }
  };

  static std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

  /// Adds a tensor [E, rows, columns]; without columns or without rows it has fewer dimensions.
  void add(TensorView& view, RepeatedMemory& memory, DType dtype, std::int64_t rows = 0,
           std::int64_t columns = 0) const {
    view.dtype = dtype;
    view.shape = {experts_, rows, columns};
    view.rank = columns > 0 ? 3 : rows > 0 ? 2 : 1;
    memory =
        RepeatedMemory(view.bytes() / static_cast<std::size_t>(experts_), static_cast<std::size_t>(experts_), held_);
    view.data = memory.data();
  }

  void add(ProjectionTensors& tensors, Memory& memory, std::int64_t rows, std::int64_t columns, bool bias) const {
    const QuantKey& key = scheme_.keys.weight;
    const auto weight = [&](DType dtype, std::int64_t in_element) {
      add(tensors.weight, memory.weight, dtype, rows, columns / in_element);
    };
    switch (key.element) {
      case QuantElement::none: weight(DType::bf16, 1); break;
      case QuantElement::f8_e4m3: weight(DType::f8_e4m3, 1); break;
      case QuantElement::i8: weight(DType::i8, 1); break;
      case QuantElement::e2m1: weight(DType::u8, 2); break;
      case QuantElement::uint4b8: weight(DType::i32, 8); break;
      case QuantElement::uint8b128: weight(DType::i32, 4); break;
    }
    if (scheme_.group_size > 0) {
      add(tensors.weight_scale, memory.scale, DType::bf16, rows, columns / scheme_.group_size);
    } else if (quant::is_per_row(key)) {
      add(tensors.weight_scale, memory.scale, DType::f32, rows);
    } else if (!key.is_none()) {
      const DType dtype = key.scale == QuantScale::e8m0      ? DType::u8
                          : key.scale == QuantScale::f8_e4m3 ? DType::f8_e4m3
                                                             : DType::f32;
      add(tensors.weight_scale, memory.scale, dtype, divide_up(rows, key.group.rows),
          divide_up(columns, key.group.columns));
    }
    if (key.has_global_scale) add(tensors.weight_scale_2, memory.scale_2, DType::f32);
    if (bias) add(tensors.bias, memory.bias, DType::bf16, rows);
  }

  /// The exponent of fp32 scales that brings the codes' size to about 1/50.
  std::uint32_t scale_exponent() const {
    switch (scheme_.keys.weight.element) {
      case QuantElement::f8_e4m3: return 127 - 13;
      case QuantElement::i8:
      case QuantElement::uint8b128: return 127 - 12;
      default: return 127 - 8;
    }
  }

  /// Eight codes, none a NaN. Next to a largest weight of 448 hardly any is so small that it has no exponent: here one
  /// in 8192, which codecs take time for.
  static constexpr std::uint64_t e4m3_weights(std::uint64_t bits) {
    constexpr std::uint64_t each = 0x0101010101010101;
    const std::uint64_t large = bits % 1024 == 0 ? each * 0x40 & ~std::uint64_t{0xFF} : each * 0x40;
    return (bits | large) & each * 0xFE;
  }

  template <class T, class Element>
  static void fill(RepeatedMemory& memory, std::uint64_t seed, const AnyExecutor& executor, Element element) {
    fill_random(executor, reinterpret_cast<T*>(memory.data()), memory.written() / sizeof(T), seed, element);
  }

  void fill(Memory& memory, std::uint64_t seed, const AnyExecutor& executor) const {
    const QuantKey& key = scheme_.keys.weight;
    const std::uint32_t exponent = scale_exponent();
    switch (key.element) {
      case QuantElement::none: fill<std::uint16_t>(memory.weight, seed, executor, small_bf16); break;
      case QuantElement::f8_e4m3: fill<std::uint64_t>(memory.weight, seed, executor, e4m3_weights); break;
      case QuantElement::i8:
        fill<std::uint8_t>(memory.weight, seed, executor,
                           [](std::uint8_t bits) { return static_cast<std::uint8_t>(bits == 0x80 ? 0x81 : bits); });
        break;
      default: fill<std::uint64_t>(memory.weight, seed, executor, [](std::uint64_t bits) { return bits; });
    }
    seed += 0x5ca1e;
    if (scheme_.group_size > 0) {
      fill<std::uint16_t>(memory.scale, seed, executor, [exponent](std::uint16_t bits) {
        return static_cast<std::uint16_t>((bits & 0x7F) | (exponent << 7));
      });
    } else if (key.scale == QuantScale::e8m0) {
      fill<std::uint8_t>(memory.scale, seed, executor,
                         [exponent](std::uint8_t bits) { return static_cast<std::uint8_t>(exponent + (bits & 1)); });
    } else if (key.scale == QuantScale::f8_e4m3) {
      fill<std::uint8_t>(memory.scale, seed, executor,
                         [](std::uint8_t bits) { return static_cast<std::uint8_t>(0x38 + (bits & 7)); });
    } else {
      fill<std::uint32_t>(memory.scale, seed, executor, [exponent](std::uint32_t bits) {
        return static_cast<std::uint32_t>((bits & 0x7FFFFF) | (exponent << 23));
      });
    }
    fill<std::uint32_t>(memory.scale_2, seed, executor, [](std::uint32_t) { return std::uint32_t{127 - 8} << 23; });
    fill<std::uint16_t>(memory.bias, seed, executor, small_bf16);
  }

  MeasuredScheme scheme_;
  std::int64_t experts_;
  bool held_;
  MoECheckpoint checkpoint_{};
  Memory w13_{}, w2_{};
};

}  // namespace polymoe::bench
