// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/config/quant_key.hpp"

/// The backends of vLLM's oracles, by the names that its enumerations give them. A tag with a member `activation_key`
/// quantizes activations that way whatever the scheme says (mxfp4).
namespace polymoe::backend {

struct Triton {
  static constexpr std::string_view name() { return "TRITON"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct BatchedTriton {
  static constexpr std::string_view name() { return "BATCHED_TRITON"; }
};
struct TritonUnfused {
  static constexpr std::string_view name() { return "TRITON_UNFUSED"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct Marlin {
  static constexpr std::string_view name() { return "MARLIN"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct BatchedMarlin {
  static constexpr std::string_view name() { return "BATCHED_MARLIN"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct Humming {
  static constexpr std::string_view name() { return "HUMMING"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct Emulation {
  static constexpr std::string_view name() { return "EMULATION"; }
  static constexpr QuantKey activation_key = quant_key::none;
};

struct VllmCutlass {
  static constexpr std::string_view name() { return "VLLM_CUTLASS"; }
};
struct BatchedVllmCutlass {
  static constexpr std::string_view name() { return "BATCHED_VLLM_CUTLASS"; }
};

struct DeepGemm {
  static constexpr std::string_view name() { return "DEEPGEMM"; }
};
struct BatchedDeepGemm {
  static constexpr std::string_view name() { return "BATCHED_DEEPGEMM"; }
};
struct DeepGemmMxfp4 {
  static constexpr std::string_view name() { return "DEEPGEMM_MXFP4"; }
  static constexpr QuantKey activation_key = quant_key::fp8_dynamic_group128;
};

struct FlashInferTrtLlm {
  static constexpr std::string_view name() { return "FLASHINFER_TRTLLM"; }
};
struct FlashInferTrtLlmMxfp4Bf16 {
  static constexpr std::string_view name() { return "FLASHINFER_TRTLLM_MXFP4_BF16"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct FlashInferTrtLlmMxfp4Mxfp8 {
  static constexpr std::string_view name() { return "FLASHINFER_TRTLLM_MXFP4_MXFP8"; }
  static constexpr QuantKey activation_key = quant_key::mxfp8_dynamic;
};
struct FlashInferCutlass {
  static constexpr std::string_view name() { return "FLASHINFER_CUTLASS"; }
};
struct FlashInferCutlassMxfp4Bf16 {
  static constexpr std::string_view name() { return "FLASHINFER_CUTLASS_MXFP4_BF16"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct FlashInferCutlassMxfp4Mxfp8 {
  static constexpr std::string_view name() { return "FLASHINFER_CUTLASS_MXFP4_MXFP8"; }
  static constexpr QuantKey activation_key = quant_key::mxfp8_dynamic;
};
struct FlashInferCuteDsl {
  static constexpr std::string_view name() { return "FLASHINFER_CUTEDSL"; }
};
struct FlashInferCuteDslBatched {
  static constexpr std::string_view name() { return "FLASHINFER_CUTEDSL_BATCHED"; }
};
struct FlashInferB12x {
  static constexpr std::string_view name() { return "FLASHINFER_B12X"; }
};

struct Aiter {
  static constexpr std::string_view name() { return "AITER"; }
};
struct AiterMxfp4Bf16 {
  static constexpr std::string_view name() { return "AITER_MXFP4_BF16"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct AiterMxfp4Fp8 {
  static constexpr std::string_view name() { return "AITER_MXFP4_FP8"; }
  static constexpr QuantKey activation_key = quant_key::fp8_static_tensor;
};
struct AiterMxfp4Mxfp4 {
  static constexpr std::string_view name() { return "AITER_MXFP4_MXFP4"; }
  static constexpr QuantKey activation_key = quant_key::mxfp4_dynamic;
};

struct Xpu {
  static constexpr std::string_view name() { return "XPU"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct Cpu {
  static constexpr std::string_view name() { return "CPU"; }
  static constexpr QuantKey activation_key = quant_key::none;
};
struct Tpu {
  static constexpr std::string_view name() { return "TPU"; }
};
struct OutOfTree {
  static constexpr std::string_view name() { return "OOT"; }
};
/// No kernel at all: the platform's own layer code takes over.
struct None {
  static constexpr std::string_view name() { return "NONE"; }
};

}  // namespace polymoe::backend
