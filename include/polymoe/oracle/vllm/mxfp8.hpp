// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"
#include "polymoe/oracle/vllm/experts/xpu.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of mxfp8 weights. It reads no variable and knows no batched class.
struct MxFp8
    : BackendTable<  //
          Row<"flashinfer_trtllm", backend::FlashInferTrtLlm, TrtLlmFp8ExpertsMonolithic, TrtLlmFp8ExpertsModular>,
          Row<"marlin", backend::Marlin, MarlinExperts>,  //
          Row<"xpu", backend::Xpu, XPUExpertsFp8, XPUExpertsMxfp8>> {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target&) {
    const BackendList order = config.moe_backend.is_auto() ? automatic() : named(config.moe_backend);
    if (order.size == 0) return Plan::failure(FailureKind::value_error, "moe_backend is not supported for MXFP8 MoE");
    Plan plan;
    for (std::size_t i = 0; i < order.size; ++i) plan.ask(order.index[i], quant_key::mxfp8_dynamic);
    return plan.or_else(FailureKind::value_error, "no MXFP8 MoE backend supports the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
