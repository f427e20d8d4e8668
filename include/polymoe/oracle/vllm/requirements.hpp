// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/parallel_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/target/target.hpp"

/// Questions that several experts classes ask.
namespace polymoe::oracle::vllm {

/// CUDA with exactly this capability.
constexpr bool cuda_is(const Target& target, std::int32_t major_version, std::int32_t minor_version) {
  return target.is_cuda() && target.cuda_capability == ComputeCapability{major_version, minor_version};
}

/// CUDA with a capability of this major version.
constexpr bool cuda_family(const Target& target, std::int32_t major_version) {
  return target.is_cuda() && target.cuda_capability.major_version == major_version;
}

constexpr bool cuda_at_least(const Target& target, std::int32_t major_version, std::int32_t minor_version) {
  return target.is_cuda() && target.cuda_capability >= ComputeCapability{major_version, minor_version};
}

/// FlashInfer with its binaries, or with a compiler to make them.
constexpr bool has_flashinfer(const Target& target) {
  return target.libraries.has(Library::flashinfer) &&
         (target.libraries.has(Library::flashinfer_cubin) || target.libraries.has(Library::nvcc));
}

/// The TRT-LLM kernels of FlashInfer.
constexpr bool has_flashinfer_trtllm(const Target& target) {
  return cuda_family(target, 10) && has_flashinfer(target);
}

constexpr bool has_deep_gemm(const Target& target) {
  return target.libraries.has(Library::deep_gemm) && value_or(target.environment.use_deep_gemm, true) &&
         (cuda_is(target, 9, 0) || cuda_family(target, 10));
}

/// AITER is there, the device has kernels, and somebody switched it on: it is off by default.
constexpr bool has_aiter(const Target& target) {
  return target.is_rocm() && target.libraries.has(Library::aiter) &&
         (target.gfx == gfx::gfx942 || target.gfx == gfx::gfx950) &&
         (target.aiter_switched_on || value_or(target.environment.rocm_use_aiter, false));
}

constexpr bool is_pair(const QuantKeys& keys, const QuantKey& weight, const QuantKey& activation) {
  return keys.weight == weight && keys.activation == activation;
}

constexpr bool is_unquantized(const QuantKeys& keys) {
  return is_pair(keys, quant_key::none, quant_key::none);
}

/// Blocks of 128 x 128 and groups of 128.
constexpr bool is_fp8_block(const QuantKeys& keys) {
  return is_pair(keys, quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128);
}

constexpr bool is_fp8_static_tensor(const QuantKeys& keys) {
  return is_pair(keys, quant_key::fp8_static_tensor, quant_key::fp8_static_tensor);
}

/// One scale a tensor, or one a channel with one a token.
constexpr bool is_fp8_tensor_or_channel(const QuantKeys& keys) {
  return is_pair(keys, quant_key::fp8_static_channel, quant_key::fp8_dynamic_token) ||
         is_pair(keys, quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor) || is_fp8_static_tensor(keys);
}

/// The pairs that the Triton kernels know where the device has fp8.
constexpr bool is_triton_fp8(const QuantKeys& keys) {
  return is_fp8_block(keys) || is_fp8_tensor_or_channel(keys) ||
         is_pair(keys, quant_key::fp8_static_tensor, quant_key::fp8_dynamic_token);
}

constexpr bool is_nvfp4(const QuantKeys& keys) {
  return is_pair(keys, quant_key::nvfp4_static, quant_key::nvfp4_dynamic);
}

constexpr bool is_mxfp8(const QuantKeys& keys) {
  return is_pair(keys, quant_key::mxfp8_static, quant_key::mxfp8_dynamic);
}

/// mxfp4 weights, and activations as they come.
constexpr bool is_mxfp4_wide(const QuantKeys& keys) {
  return is_pair(keys, quant_key::mxfp4_static, quant_key::none);
}

constexpr bool uses_two_sided_nvlink(const ParallelConfig& parallel) {
  return parallel.use_all2all_kernels() && (parallel.all2all_backend == All2AllBackend::flashinfer_all2allv ||
                                            parallel.all2all_backend == All2AllBackend::flashinfer_nvlink_two_sided);
}

constexpr bool uses_one_sided_nvlink(const ParallelConfig& parallel) {
  return parallel.use_all2all_kernels() && parallel.all2all_backend == All2AllBackend::flashinfer_nvlink_one_sided;
}

/// Not FlashInfer's NVLink exchanges, which quantize and lay out rows their own way.
constexpr bool no_flashinfer_nvlink(const ParallelConfig& parallel) {
  return !uses_two_sided_nvlink(parallel) && !uses_one_sided_nvlink(parallel);
}

/// For kernels that route by themselves and so must see all logits: an all-gather, or no exchange; experts stay put.
constexpr bool at_most_allgather(const ParallelConfig& parallel) {
  return (!parallel.use_all2all_kernels() || parallel.all2all_backend == All2AllBackend::allgather_reducescatter) &&
         !parallel.enable_eplb;
}

constexpr bool no_all2all(const ParallelConfig& parallel) {
  return !parallel.use_all2all_kernels() && !parallel.enable_eplb;
}

/// No exchange, and tokens of one data-parallel rank.
constexpr bool one_rank_of_tokens(const ParallelConfig& parallel) {
  return no_all2all(parallel) && parallel.dp_size <= 1;
}

constexpr bool no_expert_parallelism(const ParallelConfig& parallel) {
  return parallel.ep_size == 1;
}

constexpr bool always(const FusedMoEConfig&, const QuantKeys&) {
  return true;
}

}  // namespace polymoe::oracle::vllm
