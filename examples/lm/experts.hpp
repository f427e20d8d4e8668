// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "examples/lm/matrix.hpp"
#include "examples/lm/model_config.hpp"
#include "examples/support/safetensors_reader.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/quant/checkpoint.hpp"

namespace polymoe::lm {

/// The experts of one layer as the library takes them: one tensor for each product.
struct ExpertWeights {
  DType dtype = DType::bf16;
  tools::AlignedBuffer w13;  ///< [E, 2I, H]: gate rows, then up rows
  tools::AlignedBuffer w2;   ///< [E, H, I]
  MoECheckpoint checkpoint;  ///< views of the two
};

/// Gathers model.layers.L.mlp.experts.*.{gate,up,down}_proj.weight. All must have one type. Raises InputError.
inline ExpertWeights gather_experts(const tools::Checkpoint& checkpoint, const ModelConfig& config,
                                    std::int64_t layer) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t intermediate = config.moe_intermediate_size;
  const std::string prefix = "model.layers." + std::to_string(layer) + ".mlp.experts.";
  ExpertWeights experts;
  experts.dtype = checkpoint.view(prefix + "0.gate_proj.weight").dtype;
  const std::size_t bytes = static_cast<std::size_t>(hidden * intermediate) * size_of(experts.dtype);
  const auto count = static_cast<std::size_t>(config.num_experts);
  experts.w13 = tools::AlignedBuffer(count * 2 * bytes);
  experts.w2 = tools::AlignedBuffer(count * bytes);
  for (std::size_t e = 0; e < count; ++e) {
    const std::string expert = prefix + std::to_string(e);
    const auto copy = [&](const std::string& tensor, std::int64_t rows, std::int64_t columns, std::byte* into) {
      const TensorView view = float_tensor(checkpoint, expert + tensor, {rows, columns});
      if (view.dtype != experts.dtype) {
        tools::refuse(checkpoint.path(), expert + tensor, name(view.dtype),
                      std::string(name(experts.dtype)) + " as in the other experts");
      }
      std::memcpy(into, view.data, bytes);
    };
    copy(".gate_proj.weight", intermediate, hidden, experts.w13.data() + 2 * e * bytes);
    copy(".up_proj.weight", intermediate, hidden, experts.w13.data() + (2 * e + 1) * bytes);
    copy(".down_proj.weight", hidden, intermediate, experts.w2.data() + e * bytes);
  }
  experts.checkpoint.w13.weight = {
      experts.w13.data(), experts.dtype, {config.num_experts, 2 * intermediate, hidden}, 3};
  experts.checkpoint.w2.weight = {experts.w2.data(), experts.dtype, {config.num_experts, hidden, intermediate}, 3};
  return experts;
}

}  // namespace polymoe::lm
