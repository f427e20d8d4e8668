// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/config/w13_layout.hpp"

namespace polymoe {

/// How int4 and int8 codes of a weight-only checkpoint stand in their words (docs/layer_file.md).
enum class PackFormat : std::uint8_t { compressed_tensors, gptq, awq };

namespace detail {

struct PackFormatRow {
  PackFormat value;
  std::string_view name;
};

inline constexpr std::array<PackFormatRow, 3> pack_format_table{{
    {PackFormat::compressed_tensors, "compressed_tensors"},
    {PackFormat::gptq, "gptq"},
    {PackFormat::awq, "awq"},
}};

}  // namespace detail

constexpr std::string_view name(PackFormat format) {
  return detail::row_of(detail::pack_format_table, format).name;
}

constexpr std::optional<PackFormat> pack_format_from_name(std::string_view text) {
  return detail::value_from_name<PackFormat>(detail::pack_format_table, text);
}

/// The tensors of one of the two products, over all local experts. Names, shapes and types: docs/layer_file.md.
struct ProjectionTensors {
  TensorView weight{};
  TensorView weight_scale{};
  TensorView weight_scale_2{};
  TensorView zero_point{};
  TensorView input_scale{};
  TensorView g_idx{};  ///< [E, K] int32: the group of each input channel (GPTQ's desc_act)
  TensorView bias{};
};

/// A layer's checkpoint tensors: views of the caller's memory, of which nothing is kept after conversion.
struct MoECheckpoint {
  ProjectionTensors w13{};
  ProjectionTensors w2{};
  W13Layout w13_layout = W13Layout::concatenated;
  PackFormat pack_format = PackFormat::compressed_tensors;
  /// nvfp4 as compressed-tensors writes it: weight_scale_2 and input_scale hold the reciprocals of what ModelOpt
  /// stores.
  bool reciprocal_global_scale = false;
};

}  // namespace polymoe
