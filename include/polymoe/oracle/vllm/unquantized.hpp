// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/aiter.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/oracle/vllm/experts/xpu.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of weights in bf16 or fp16.
struct Unquantized
    : BackendTable<                                                                  //
          Row<"flashinfer_trtllm", backend::FlashInferTrtLlm, TrtLlmBf16Experts>,    // routes inside: fewest launches
          Row<"flashinfer_cutlass", backend::FlashInferCutlass, FlashInferExperts>,  //
          Row<"aiter", backend::Aiter, AiterExperts>,                                // where it is switched on
          Row<"triton", backend::Triton, TritonExperts>,                             // anywhere
          Row<"", backend::BatchedTriton, BatchedTritonExperts>,                     //
          Row<"", backend::Xpu, XPUExperts>,                                         //
          OnRequest<"", backend::Cpu>,  // the layer's own code computes on these three
          OnRequest<"", backend::Tpu>,  //
          OnRequest<"", backend::OutOfTree>> {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    switch (target.platform) {
      case Platform::cpu: return Plan{}.take(index_of<backend::Cpu>);
      case Platform::tpu: return Plan{}.take(index_of<backend::Tpu>);
      case Platform::out_of_tree: return Plan{}.take(index_of<backend::OutOfTree>);
      default: break;
    }
    // Only Triton's kernels have LoRA, and nothing else is looked at: not the device, not the format, not the request.
    if (config.is_lora_enabled) return Plan{}.take(index_of<backend::Triton>);
    if (!config.moe_backend.is_auto()) return requested(config);
    return automatic_choice(config, target);
  }

 private:
  static constexpr Plan requested(const FusedMoEConfig& config) {
    BackendList order = named(config.moe_backend);
    if (order.size == 0) {
      return Plan::failure(FailureKind::value_error, "moe_backend is not supported for unquantized MoE");
    }
    swap_if_batched<backend::Triton, backend::BatchedTriton>(order, config);
    return only(order, "the requested unquantized MoE backend does not support the configuration");
  }

  static constexpr BackendList order_on(const FusedMoEConfig& config, const Target& target) {
    BackendList order = automatic();
    if (target.platform == Platform::xpu) return list<backend::Xpu>();
    remove<backend::Xpu>(order);
    if (target.is_cuda()) remove<backend::Aiter>(order);
    if (target.is_rocm()) remove<backend::FlashInferTrtLlm, backend::FlashInferCutlass>(order);
    // Several data-parallel ranks make many small batches, at which FlashInfer's CUTLASS loses to Triton.
    if (target.is_cuda() && config.parallel.dp_size > 1) order.move_to_back(index_of<backend::FlashInferCutlass>);
    return order;
  }

  static constexpr Plan automatic_choice(const FusedMoEConfig& config, const Target& target) {
    BackendList order = order_on(config, target);
    const Environment& environment = target.environment;
    if (environment.use_flashinfer_moe_fp16 == Switch::on) {
      switch (flashinfer_choice(target)) {
        case FlashInferMoE::throughput:
          return only(list<backend::FlashInferCutlass>(), "FlashInfer CUTLASS does not support the configuration");
        case FlashInferMoE::latency:
          return only(list<backend::FlashInferTrtLlm>(), "FlashInfer TRT-LLM does not support the configuration");
        case FlashInferMoE::masked_gemm:
          return Plan::failure(FailureKind::value_error, "FlashInfer's CuTe DSL does not support unquantized MoE");
        case FlashInferMoE::unset: break;
      }
      return Plan(list<backend::FlashInferTrtLlm, backend::FlashInferCutlass>())
          .or_else(FailureKind::not_implemented,
                   "VLLM_USE_FLASHINFER_MOE_FP16=1, but no FlashInfer backend supports the configuration");
    }
    if (environment.use_flashinfer_moe_fp16 == Switch::off) {
      remove<backend::FlashInferTrtLlm, backend::FlashInferCutlass>(order);
    }
    const Switch aiter = aiter_switch(environment);
    if (aiter == Switch::on) return only(list<backend::Aiter>(), "AITER does not support the configuration");
    if (aiter == Switch::off) remove<backend::Aiter>(order);
    return Plan(order).or_else(FailureKind::not_implemented, "no unquantized MoE backend supports the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
