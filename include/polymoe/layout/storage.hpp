// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/dtype.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/validate.hpp"

namespace polymoe {

/// What a kernel format must know of a checkpoint beside its sizes to lay memory out: the types that the tensors have
/// and the tensors that are there. Kept in the header of packed weights.
struct Storage {
  DType weight = DType::bf16;     ///< of W13; unquantized weights keep their type where the kernel format allows it
  DType w2_weight = DType::bf16;  ///< of W2
  DType scale = DType::f32;       ///< of the weight scales; f32 where there are none
  bool zero_points = false;
  bool w13_bias = false;
  bool w2_bias = false;
  bool group_index = false;     ///< g_idx: neighbouring columns may be of different groups
  std::uint8_t reserved = 0;    ///< no byte of a header is left to chance
  std::int32_t group_size = 0;  ///< of wna16: columns that share a scale, -1: the whole row; 0 for other schemes

  bool operator==(const Storage&) const = default;
};

template <quant::Scheme S>
Storage storage_of(const MoECheckpoint& checkpoint) {
  const TensorView& scale = checkpoint.w13.weight_scale;
  return {.weight = checkpoint.w13.weight.dtype,
          .w2_weight = checkpoint.w2.weight.dtype,
          .scale = scale.present() ? scale.dtype : DType::f32,
          .zero_points = checkpoint.w13.zero_point.present(),
          .w13_bias = checkpoint.w13.bias.present(),
          .w2_bias = checkpoint.w2.bias.present(),
          .group_index = checkpoint.w13.g_idx.present() || checkpoint.w2.g_idx.present(),
          .group_size = quant::checkpoint_group_size<S>(checkpoint)};
}

}  // namespace polymoe
