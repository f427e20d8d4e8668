// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/dtype.hpp"
#include "polymoe/quant/checkpoint.hpp"

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
  std::int32_t group_size =
      0;  ///< of a scheme whose group size is dynamic, as the checkpoint has it; -1: the whole row

  bool operator==(const Storage&) const = default;
};

constexpr Storage storage_of(const MoECheckpoint& checkpoint, std::int32_t group_size = 0) {
  const TensorView& scale = checkpoint.w13.weight_scale;
  return {.weight = checkpoint.w13.weight.dtype,
          .w2_weight = checkpoint.w2.weight.dtype,
          .scale = scale.present() ? scale.dtype : DType::f32,
          .zero_points = checkpoint.w13.zero_point.present(),
          .w13_bias = checkpoint.w13.bias.present(),
          .w2_bias = checkpoint.w2.bias.present(),
          .group_size = group_size};
}

}  // namespace polymoe
