// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

// A launcher of CUDA kernels as an engine has one: plain pointers, no C++ types between two compilers.

namespace engine {

/// Weights of a layer in fp32 on the host, expert by expert.
struct HostExpert {
  const float* w13 = nullptr;       ///< [2I, H], gate rows before up rows
  const float* w2 = nullptr;        ///< [H, I]
  const float* w13_bias = nullptr;  ///< [2I]
  const float* w2_bias = nullptr;   ///< [H]
};

/// A layer's weights on the device, and room for one call.
struct DeviceLayer;

/// The first device's compute capability; false where there is no device.
bool device_capability(int& major_version, int& minor_version);

/// Copies a layer to the device; null where that fails.
DeviceLayer* create_layer(const HostExpert* experts, std::int64_t num_experts, std::int64_t hidden_size,
                          std::int64_t intermediate_size);
void destroy_layer(DeviceLayer* layer);

/// out[T, H] = sum over j of weights[T, k] * expert ids[T, k] (-1: none) of x[T, H], in fp32 with silu between the
/// products. Host pointers. False where the device failed.
bool grouped_experts(DeviceLayer* layer, const float* x, const float* weights, const std::int32_t* ids,
                     std::int64_t tokens, std::int64_t top_k, float* out);

}  // namespace engine
