// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/aiter.hpp"
#include "polymoe/oracle/vllm/experts/cpu.hpp"
#include "polymoe/oracle/vllm/experts/cutlass.hpp"
#include "polymoe/oracle/vllm/experts/deep_gemm.hpp"
#include "polymoe/oracle/vllm/experts/fallback.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/oracle/vllm/experts/xpu.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of fp8 weights.
struct Fp8
    : BackendTable<                                    //
          Row<"aiter", backend::Aiter, AiterExperts>,  // off by default; who switches it on wants it
          Row<"flashinfer_trtllm", backend::FlashInferTrtLlm, TrtLlmFp8ExpertsMonolithic, TrtLlmFp8ExpertsModular>,
          Row<"flashinfer_cutlass", backend::FlashInferCutlass, FlashInferExperts>,  //
          Row<"deep_gemm", backend::DeepGemm, TritonOrDeepGemmExperts>,              //
          Row<"cutlass", backend::VllmCutlass, TritonOrCutlassExperts>,              //
          Row<"triton", backend::Triton, TritonExperts>,                             // any device with fp8
          Row<"marlin", backend::Marlin, MarlinExperts>,                             // devices without
          Row<"", backend::BatchedDeepGemm, BatchedDeepGemmExperts>,                 //
          Row<"", backend::BatchedVllmCutlass, CutlassBatchedExpertsFp8>,            //
          Row<"", backend::BatchedTriton, BatchedTritonExperts>,                     //
          Row<"", backend::Xpu, XPUExpertsFp8, XPUExpertsMxfp8>,                     //
          Row<"", backend::Cpu, CPUExpertsFp8>,                                      //
          OnRequest<"", backend::None>> {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    if (!config.moe_backend.is_auto()) return requested(config);
    return automatic_choice(config, keys, target);
  }

 private:
  static constexpr Plan requested(const FusedMoEConfig& config) {
    BackendList order = named(config.moe_backend);
    if (order.size == 0) return Plan::failure(FailureKind::value_error, "moe_backend is not supported for FP8 MoE");
    if (order.contains(index_of<backend::VllmCutlass>) && !config.allow_vllm_cutlass) {
      return Plan::failure(FailureKind::value_error, "vLLM's CUTLASS FP8 backend is disabled for this configuration");
    }
    swap_if_batched<backend::DeepGemm, backend::BatchedDeepGemm>(order, config);
    swap_if_batched<backend::Triton, backend::BatchedTriton>(order, config);
    swap_if_batched<backend::VllmCutlass, backend::BatchedVllmCutlass>(order, config);
    return only(order, "the requested FP8 MoE backend does not support the configuration");
  }

  static constexpr BackendList order_on(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    BackendList order = automatic();
    if (cuda_is(target, 9, 0) && is_fp8_block(keys)) {
      // Hopper, block scales: Triton is tuned for whole experts, FlashInfer for experts that are spread over ranks.
      order.move_to_front(config.parallel.ep_size > 1 ? index_of<backend::FlashInferCutlass>
                                                      : index_of<backend::Triton>);
    }
    if (target.platform == Platform::xpu) order.move_to_front(index_of<backend::Xpu>);  // the platform's own
    if (target.platform == Platform::cpu) order.move_to_front(index_of<backend::Cpu>);
    if (!config.allow_vllm_cutlass) remove<backend::VllmCutlass, backend::BatchedVllmCutlass>(order);
    return order;
  }

  static constexpr Plan automatic_choice(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    BackendList order = order_on(config, keys, target);
    const Environment& environment = target.environment;
    const bool batched = config.activation_format() == ActivationFormat::batched;

    if (environment.use_flashinfer_moe_fp8 == Switch::on) {
      switch (flashinfer_choice(target)) {
        case FlashInferMoE::throughput:
          return only(list<backend::FlashInferCutlass>(), "FlashInfer CUTLASS does not support the configuration");
        case FlashInferMoE::latency:
          return only(list<backend::FlashInferTrtLlm>(), "FlashInfer TRT-LLM does not support the configuration");
        case FlashInferMoE::masked_gemm:
          return Plan::failure(FailureKind::value_error, "FlashInfer's CuTe DSL does not support FP8 MoE");
        case FlashInferMoE::unset: break;
      }
      return Plan(list<backend::FlashInferTrtLlm, backend::FlashInferCutlass>())
          .or_else(FailureKind::not_implemented,
                   "VLLM_USE_FLASHINFER_MOE_FP8=1, but no FlashInfer FP8 backend supports the configuration");
    }
    if (environment.use_flashinfer_moe_fp8 == Switch::off) {
      remove<backend::FlashInferTrtLlm, backend::FlashInferCutlass>(order);
    }

    if (is_set(environment.use_deep_gemm) || is_set(environment.moe_use_deep_gemm)) {
      if (value_or(environment.use_deep_gemm, true) && value_or(environment.moe_use_deep_gemm, true)) {
        return only(batched ? list<backend::BatchedDeepGemm>() : list<backend::DeepGemm>(),
                    "DeepGEMM does not support the configuration");
      }
      remove<backend::DeepGemm, backend::BatchedDeepGemm>(order);
    }

    if (environment.test_force_fp8_marlin == Switch::on) {
      return only(list<backend::Marlin>(), "Marlin does not support the configuration");
    }

    const Switch aiter = aiter_switch(environment);
    if (aiter == Switch::on) return only(list<backend::Aiter>(), "AITER does not support the configuration");
    if (aiter == Switch::off) remove<backend::Aiter>(order);

    Plan plan(order);
    // Elsewhere the platform's own layer code may still know what to do.
    if (!target.is_cuda() && !target.is_rocm()) plan.take(index_of<backend::None>);
    return plan.or_else(FailureKind::not_implemented, "no FP8 MoE backend supports the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
