// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "polymoe/config/error.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/w13_layout.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/accelerator/weight_format.hpp"
#include "polymoe/layout/storage.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// The kernel format of a backend of vLLM: what an engine's experts class names as its `kernel_format`, so that
/// FusedMoEKernel::convert_to_kernel_format makes the bytes that the launcher reads. One expert is six tensors one
/// after the other: w13, w2, their scales, their biases as in the checkpoint; each begins at a multiple of 64 bytes.
template <class Backend, quant::Scheme Scheme, Target on, W13Layout w13_layout = W13Layout::concatenated,
          bool gated = true>
struct KernelFormat {
  static constexpr WeightFormat format = weight_format({.family = Scheme::family,
                                                        .backend = Backend::name(),
                                                        .weight_key = Scheme::keys.weight,
                                                        .act_and_mul = gated,
                                                        .interleaved_w13 = w13_layout == W13Layout::interleaved,
                                                        .target = on});

  static constexpr std::string_view name() { return Backend::name(); }

  /// Where the tensors of an expert begin; the last entry is the end.
  using Offsets = std::array<std::size_t, 7>;

  static constexpr Offsets offsets(const LayerShape& shape, const Storage& storage) {
    const LayerShape padded = padded_shape(shape);
    const std::int64_t h = padded.hidden_size;
    const std::int64_t i = padded.intermediate_size;
    const std::array<std::int64_t, 6> sizes{
        format.w13.shape_after(weights_of(padded.w13_rows(), h, storage.weight)).bytes(),
        format.w2.shape_after(weights_of(h, i, storage.w2_weight)).bytes(),
        format.w13_scale.shape_after(scales_of(padded.w13_rows(), h, storage)).bytes(),
        format.w2_scale.shape_after(scales_of(h, i, storage)).bytes(),
        storage.w13_bias ? shape.w13_rows() * std::int64_t{sizeof(float)} : 0,
        storage.w2_bias ? shape.hidden_size * std::int64_t{sizeof(float)} : 0};
    Offsets result{};
    for (std::size_t t = 0; t < sizes.size(); ++t) {
      result[t + 1] = result[t] + static_cast<std::size_t>(round_up(sizes[t], 64));
    }
    return result;
  }

  static constexpr std::size_t expert_bytes(const LayerShape& shape, const Storage& storage) {
    return offsets(shape, storage).back();
  }

  template <Executor E>
  static void pack_expert(std::byte* memory, const quant::ExpertCheckpoint& checkpoint, const LayerShape& shape,
                          const Storage& storage, E& executor) {
    const Offsets at = offsets(shape, storage);
    const LayerShape padded = padded_shape(shape);
    const std::int64_t h = padded.hidden_size;
    const std::int64_t i = padded.intermediate_size;
    const auto weight = [](const ProjectionTensors& tensors) { return tensors.weight; };
    const auto scale = [](const ProjectionTensors& tensors) { return tensors.weight_scale; };
    pack(memory + at[0], format.w13, weight(checkpoint.w13.tensors),
         weights_of(shape.w13_rows(), shape.hidden_size, storage.weight),
         weights_of(padded.w13_rows(), h, storage.weight), gated, executor);
    pack(memory + at[1], format.w2, weight(checkpoint.w2.tensors),
         weights_of(shape.hidden_size, shape.intermediate_size, storage.w2_weight), weights_of(h, i, storage.w2_weight),
         false, executor);
    pack(memory + at[2], format.w13_scale, scale(checkpoint.w13.tensors),
         scales_of(shape.w13_rows(), shape.hidden_size, storage), scales_of(padded.w13_rows(), h, storage), gated,
         executor);
    pack(memory + at[3], format.w2_scale, scale(checkpoint.w2.tensors),
         scales_of(shape.hidden_size, shape.intermediate_size, storage), scales_of(h, i, storage), false, executor);
    pack_bias(memory + at[4], checkpoint.w13, storage.w13_bias);
    pack_bias(memory + at[5], checkpoint.w2, storage.w2_bias);
  }

 private:
  static constexpr QuantKey key = Scheme::keys.weight;

  static constexpr LayerShape padded_shape(LayerShape shape) {
    shape.hidden_size = round_up(shape.hidden_size, format.multiples.hidden);
    shape.intermediate_size = round_up(shape.intermediate_size, format.multiples.intermediate);
    return shape;
  }

  static constexpr ByteMatrix weights_of(std::int64_t rows, std::int64_t columns, DType dtype) {
    const bool four_bits = key.element == QuantElement::e2m1 || key.element == QuantElement::uint4b8;
    const bool quantized = !key.is_none();
    const auto bytes = static_cast<std::int64_t>(size_of(dtype));
    return {rows, four_bits ? (columns + 1) / 2 : quantized ? columns : columns * bytes};
  }

  static constexpr ByteMatrix scales_of(std::int64_t rows, std::int64_t columns, const Storage& storage) {
    if (key.is_none()) return {};
    const std::int32_t group = storage.group_size > 0 ? storage.group_size : Scheme::group_size;
    const std::int32_t reach = group > 0 && key.group.columns == GroupShape::whole ? group : key.group.columns;
    const std::int64_t down = key.group.rows == GroupShape::whole ? 1 : (rows + key.group.rows - 1) / key.group.rows;
    const std::int64_t across = reach == GroupShape::whole || reach == 1 ? 1 : (columns + reach - 1) / reach;
    const bool per_channel = key.group.rows == GroupShape::whole && key.group.columns == 1;
    return {per_channel ? rows : down, across * static_cast<std::int64_t>(size_of(storage.scale))};
  }

  /// Pads (gate and up apart, where they stand in halves), converts and copies.
  template <Executor E>
  static void pack(std::byte* memory, const TensorFormat& steps, const TensorView& tensor, const ByteMatrix& shape,
                   const ByteMatrix& padded, bool has_halves, E& executor) {
    if (!tensor.present() || shape.bytes() == 0) return;
    if (static_cast<std::int64_t>(tensor.bytes()) != shape.bytes()) {
      raise_mismatch("checkpoint", std::to_string(tensor.bytes()) + " bytes of an expert's tensor",
                     std::to_string(shape.bytes()));
    }
    const std::int64_t parts = has_halves && w13_layout == W13Layout::concatenated && shape.rows % 2 == 0 ? 2 : 1;
    std::vector<std::byte> current(static_cast<std::size_t>(padded.bytes()));
    for (std::int64_t part = 0; part < parts; ++part) {
      pad({shape.rows / parts, shape.columns}, {padded.rows / parts, padded.columns},
          tensor.data + part * (shape.bytes() / parts), current.data() + part * (padded.bytes() / parts), executor);
    }
    const std::vector<std::byte> converted = convert(steps, padded, current.data(), executor);
    std::copy(converted.begin(), converted.end(), memory);
  }

  static void pack_bias(std::byte* memory, const quant::WeightMatrix& matrix, bool present) {
    if (!present) return;
    float* const bias = reinterpret_cast<float*>(memory);
    for (std::int64_t r = 0; r < matrix.rows; ++r) bias[r] = matrix.bias(r);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
