// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/cutlass.hpp"
#include "polymoe/oracle/vllm/experts/emulation.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of nvfp4 weights: one order for every platform.
struct NvFp4
    : BackendTable<  //
          Row<"flashinfer_trtllm", backend::FlashInferTrtLlm, TrtLlmNvFp4ExpertsMonolithic, TrtLlmNvFp4ExpertsModular>,
          Row<"flashinfer_cutedsl", backend::FlashInferCuteDsl, FlashInferCuteDSLExperts>,  //
          Row<"", backend::FlashInferCuteDslBatched, FlashInferCuteDSLBatchedExperts>,      //
          Row<"flashinfer_cutlass", backend::FlashInferCutlass, FlashInferExperts>,         //
          Row<"cutlass", backend::VllmCutlass, CutlassExpertsFp4>,                          //
          Row<"marlin", backend::Marlin, MarlinExperts>,                                    //
          Row<"emulation", backend::Emulation, Nvfp4QuantizationEmulationTritonExperts>,    // slow, anywhere
          OnRequest<"flashinfer_b12x", backend::FlashInferB12x, FlashInferB12xExperts>> {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    if (!config.moe_backend.is_auto()) {
      BackendList order = named(config.moe_backend);
      if (order.size == 0) {
        return Plan::failure(FailureKind::value_error, "moe_backend is not supported for NvFP4 MoE");
      }
      swap_if_batched<backend::FlashInferCuteDsl, backend::FlashInferCuteDslBatched>(order, config);
      return only(order, "the requested NvFP4 MoE backend does not support the configuration");
    }

    const Environment& environment = target.environment;
    if (environment.use_flashinfer_moe_fp4 == Switch::off) {
      // vLLM removes B12X from a list that does not hold it.
      return Plan::failure(FailureKind::value_error, "list.remove(x): x not in list");
    }
    if (environment.use_flashinfer_moe_fp4 == Switch::on) return flashinfer(target);
    if (environment.test_force_fp8_marlin == Switch::on) {
      return only(list<backend::Marlin>(), "Marlin does not support the configuration");
    }
    return Plan(automatic()).or_else(FailureKind::not_implemented, "no NvFP4 MoE backend supports the configuration");
  }

 private:
  static constexpr Plan flashinfer(const Target& target) {
    switch (flashinfer_choice(target)) {
      case FlashInferMoE::throughput:
        return only(list<backend::FlashInferCutlass>(), "FlashInfer CUTLASS does not support the configuration");
      case FlashInferMoE::latency:
        return only(list<backend::FlashInferTrtLlm>(), "FlashInfer TRT-LLM does not support the configuration");
      case FlashInferMoE::masked_gemm:  // the standard class, also where activations arrive in the batched format
        return only(list<backend::FlashInferCuteDsl>(), "FlashInfer's CuTe DSL does not support the configuration");
      case FlashInferMoE::unset: break;
    }
    return Plan(list<backend::FlashInferTrtLlm, backend::FlashInferCutlass, backend::FlashInferCuteDsl,
                     backend::FlashInferCuteDslBatched, backend::FlashInferB12x>())
        .or_else(FailureKind::not_implemented,
                 "VLLM_USE_FLASHINFER_MOE_FP4=1, but no FlashInfer NvFP4 backend supports the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
