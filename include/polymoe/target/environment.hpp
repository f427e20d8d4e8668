// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polymoe {

/// A variable that may be unset, which is not the same as either value.
enum class Switch : std::uint8_t { unset, off, on };

constexpr bool is_set(Switch value) {
  return value != Switch::unset;
}

/// The value, or the variable's default.
constexpr bool value_or(Switch value, bool otherwise) {
  return is_set(value) ? value == Switch::on : otherwise;
}

/// VLLM_FLASHINFER_MOE_BACKEND.
enum class FlashInferMoE : std::uint8_t { unset, throughput, latency, masked_gemm };

/// VLLM_HUMMING_MOE_GEMM_TYPE; anything but grouped means indexed.
enum class HummingGemm : std::uint8_t { unset, indexed, grouped };

/// The environment variables that selection reads, as a value. Structural; everything unset by default.
struct Environment {
  Switch use_flashinfer_moe_fp16 = Switch::unset;
  Switch use_flashinfer_moe_fp8 = Switch::unset;
  Switch use_flashinfer_moe_fp4 = Switch::unset;
  Switch use_flashinfer_moe_mxfp4_bf16 = Switch::unset;
  Switch use_flashinfer_moe_mxfp4_mxfp8 = Switch::unset;
  Switch use_flashinfer_moe_mxfp4_mxfp8_cutlass = Switch::unset;
  FlashInferMoE flashinfer_moe_backend = FlashInferMoE::unset;
  Switch use_deep_gemm = Switch::unset;
  Switch moe_use_deep_gemm = Switch::unset;
  Switch rocm_use_aiter = Switch::unset;
  Switch rocm_use_aiter_moe = Switch::unset;
  Switch mxfp4_use_marlin = Switch::unset;
  Switch test_force_fp8_marlin = Switch::unset;
  Switch batch_invariant = Switch::unset;
  HummingGemm humming_moe_gemm_type = HummingGemm::unset;

  /// Sets a variable by its name in the process environment. False where selection reads no such variable.
  constexpr bool set(std::string_view variable, std::string_view text);

  bool operator==(const Environment&) const = default;
};

namespace detail {

struct SwitchRow {
  std::string_view variable;
  Switch Environment::*field;
};

inline constexpr std::array<SwitchRow, 13> switch_table{{
    {"VLLM_USE_FLASHINFER_MOE_FP16", &Environment::use_flashinfer_moe_fp16},
    {"VLLM_USE_FLASHINFER_MOE_FP8", &Environment::use_flashinfer_moe_fp8},
    {"VLLM_USE_FLASHINFER_MOE_FP4", &Environment::use_flashinfer_moe_fp4},
    {"VLLM_USE_FLASHINFER_MOE_MXFP4_BF16", &Environment::use_flashinfer_moe_mxfp4_bf16},
    {"VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8", &Environment::use_flashinfer_moe_mxfp4_mxfp8},
    {"VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8_CUTLASS", &Environment::use_flashinfer_moe_mxfp4_mxfp8_cutlass},
    {"VLLM_USE_DEEP_GEMM", &Environment::use_deep_gemm},
    {"VLLM_MOE_USE_DEEP_GEMM", &Environment::moe_use_deep_gemm},
    {"VLLM_ROCM_USE_AITER", &Environment::rocm_use_aiter},
    {"VLLM_ROCM_USE_AITER_MOE", &Environment::rocm_use_aiter_moe},
    {"VLLM_MXFP4_USE_MARLIN", &Environment::mxfp4_use_marlin},
    {"VLLM_TEST_FORCE_FP8_MARLIN", &Environment::test_force_fp8_marlin},
    {"VLLM_BATCH_INVARIANT", &Environment::batch_invariant},
}};

}  // namespace detail

constexpr bool Environment::set(std::string_view variable, std::string_view text) {
  for (const detail::SwitchRow& row : detail::switch_table) {
    if (row.variable != variable) continue;
    this->*row.field = text == "0" || text == "false" || text == "False" ? Switch::off : Switch::on;
    return true;
  }
  if (variable == "VLLM_FLASHINFER_MOE_BACKEND") {
    flashinfer_moe_backend = text == "throughput"    ? FlashInferMoE::throughput
                             : text == "latency"     ? FlashInferMoE::latency
                             : text == "masked_gemm" ? FlashInferMoE::masked_gemm
                                                     : FlashInferMoE::unset;
    return true;
  }
  if (variable == "VLLM_HUMMING_MOE_GEMM_TYPE") {
    humming_moe_gemm_type = text.starts_with("grouped") ? HummingGemm::grouped : HummingGemm::indexed;
    return true;
  }
  return false;
}

}  // namespace polymoe
