// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <cuda_runtime.h>

#include <new>

#include "grouped_gemm.h"

namespace engine {

namespace {

constexpr int warp_size = 32;
constexpr int warps_in_block = 8;

/// Device memory that frees itself.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  bool allocate(std::int64_t count) {
    cudaFree(data_);
    data_ = nullptr;
    return cudaMalloc(&data_, static_cast<std::size_t>(count) * sizeof(T)) == cudaSuccess;
  }
  bool upload(const T* source, std::int64_t first, std::int64_t count) {
    return cudaMemcpy(data_ + first, source, static_cast<std::size_t>(count) * sizeof(T), cudaMemcpyHostToDevice) ==
           cudaSuccess;
  }
  bool download(T* destination, std::int64_t count) const {
    return cudaMemcpy(destination, data_, static_cast<std::size_t>(count) * sizeof(T), cudaMemcpyDeviceToHost) ==
           cudaSuccess;
  }
  T* get() const { return data_; }

 private:
  T* data_ = nullptr;
};

/// A warp's dot product; every lane gets the sum.
__device__ float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0.0F;
  for (std::int64_t i = threadIdx.x; i < count; i += warp_size) sum += a[i] * b[i];
  for (int offset = warp_size / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xFFFFFFFFU, sum, offset);
  return sum;
}

/// The first product: a warp makes one element of the intermediate of one (token, expert) pair.
__global__ void first_product(const float* x, const float* w13, const float* w13_bias, const std::int32_t* ids,
                              std::int64_t top_k, std::int64_t hidden, std::int64_t intermediate, float* out) {
  const std::int64_t slot = blockIdx.y;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * warps_in_block + threadIdx.y;
  const std::int64_t expert = ids[slot];
  if (i >= intermediate || expert < 0) return;
  const float* const weights = w13 + expert * 2 * intermediate * hidden;
  const float* const bias = w13_bias + expert * 2 * intermediate;
  const float* const row = x + slot / top_k * hidden;
  const float gate = dot(row, weights + i * hidden, hidden) + bias[i];
  const float up = dot(row, weights + (intermediate + i) * hidden, hidden) + bias[intermediate + i];
  if (threadIdx.x == 0) out[slot * intermediate + i] = gate / (1.0F + expf(-gate)) * up;
}

/// The second product: a warp makes one element of one token's output, expert after expert.
__global__ void second_product(const float* intermediates, const float* w2, const float* w2_bias,
                               const float* topk_weights, const std::int32_t* ids, std::int64_t top_k,
                               std::int64_t hidden, std::int64_t intermediate, float* out) {
  const std::int64_t token = blockIdx.y;
  const std::int64_t h = static_cast<std::int64_t>(blockIdx.x) * warps_in_block + threadIdx.y;
  if (h >= hidden) return;
  float sum = 0.0F;
  for (std::int64_t j = 0; j < top_k; ++j) {
    const std::int64_t slot = token * top_k + j;
    const std::int64_t expert = ids[slot];
    if (expert < 0) continue;
    const float* const weights = w2 + (expert * hidden + h) * intermediate;
    const float y = dot(intermediates + slot * intermediate, weights, intermediate) + w2_bias[expert * hidden + h];
    sum += topk_weights[slot] * y;
  }
  if (threadIdx.x == 0) out[token * hidden + h] = sum;
}

unsigned blocks(std::int64_t count) { return static_cast<unsigned>((count + warps_in_block - 1) / warps_in_block); }

}  // namespace

struct DeviceLayer {
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  DeviceArray<float> w13, w2, w13_bias, w2_bias;
};

bool device_capability(int& major_version, int& minor_version) {
  return cudaDeviceGetAttribute(&major_version, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess &&
         cudaDeviceGetAttribute(&minor_version, cudaDevAttrComputeCapabilityMinor, 0) == cudaSuccess;
}

DeviceLayer* create_layer(const HostExpert* experts, std::int64_t num_experts, std::int64_t hidden_size,
                          std::int64_t intermediate_size) {
  DeviceLayer* const layer = new (std::nothrow) DeviceLayer;
  if (layer == nullptr) return nullptr;
  layer->hidden_size = hidden_size;
  layer->intermediate_size = intermediate_size;
  const std::int64_t w13 = 2 * intermediate_size * hidden_size;
  const std::int64_t w2 = hidden_size * intermediate_size;
  bool good = layer->w13.allocate(num_experts * w13) && layer->w2.allocate(num_experts * w2) &&
              layer->w13_bias.allocate(num_experts * 2 * intermediate_size) &&
              layer->w2_bias.allocate(num_experts * hidden_size);
  for (std::int64_t e = 0; good && e < num_experts; ++e) {
    good = layer->w13.upload(experts[e].w13, e * w13, w13) && layer->w2.upload(experts[e].w2, e * w2, w2) &&
           layer->w13_bias.upload(experts[e].w13_bias, e * 2 * intermediate_size, 2 * intermediate_size) &&
           layer->w2_bias.upload(experts[e].w2_bias, e * hidden_size, hidden_size);
  }
  if (good) return layer;
  delete layer;
  return nullptr;
}

void destroy_layer(DeviceLayer* layer) { delete layer; }

bool grouped_experts(DeviceLayer* layer, const float* x, const float* weights, const std::int32_t* ids,
                     std::int64_t tokens, std::int64_t top_k, float* out) {
  const std::int64_t hidden = layer->hidden_size;
  const std::int64_t intermediate = layer->intermediate_size;
  const std::int64_t slots = tokens * top_k;
  DeviceArray<float> device_x, device_weights, intermediates, device_out;
  DeviceArray<std::int32_t> device_ids;
  if (!device_x.allocate(tokens * hidden) || !device_weights.allocate(slots) || !device_ids.allocate(slots) ||
      !intermediates.allocate(slots * intermediate) || !device_out.allocate(tokens * hidden)) {
    return false;
  }
  if (!device_x.upload(x, 0, tokens * hidden) || !device_weights.upload(weights, 0, slots) ||
      !device_ids.upload(ids, 0, slots)) {
    return false;
  }
  const dim3 threads(warp_size, warps_in_block);
  first_product<<<dim3(blocks(intermediate), static_cast<unsigned>(slots)), threads>>>(
      device_x.get(), layer->w13.get(), layer->w13_bias.get(), device_ids.get(), top_k, hidden, intermediate,
      intermediates.get());
  second_product<<<dim3(blocks(hidden), static_cast<unsigned>(tokens)), threads>>>(
      intermediates.get(), layer->w2.get(), layer->w2_bias.get(), device_weights.get(), device_ids.get(), top_k, hidden,
      intermediate, device_out.get());
  return cudaGetLastError() == cudaSuccess && device_out.download(out, tokens * hidden);
}

}  // namespace engine
