// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/aiter.hpp"
#include "polymoe/oracle/vllm/experts/cpu.hpp"
#include "polymoe/oracle/vllm/experts/deep_gemm.hpp"
#include "polymoe/oracle/vllm/experts/emulation.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/humming.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"
#include "polymoe/oracle/vllm/experts/triton_kernels.hpp"
#include "polymoe/oracle/vllm/experts/xpu.hpp"

namespace polymoe::oracle::vllm {

/// The backends of mxfp4 weights. What a backend does with activations is part of its name, so each is asked with its
/// own activation key.
using MxFp4Backends = BackendTable<  //
    Row<"flashinfer_trtllm", backend::FlashInferTrtLlmMxfp4Bf16, TrtLlmMxfp4ExpertsMonolithic,
        TrtLlmMxfp4ExpertsModular>,  // wide activations before narrow ones: they are what the checkpoint was made with
    Row<"flashinfer_trtllm flashinfer_trtllm_afp8", backend::FlashInferTrtLlmMxfp4Mxfp8, TrtLlmMxfp4ExpertsMonolithic,
        TrtLlmMxfp4ExpertsModular>,
    Row<"aiter", backend::AiterMxfp4Bf16, AiterExperts>,                                //
    Row<"aiter aiter_mxfp4_fp8", backend::AiterMxfp4Fp8, AiterW4A8ExpertsMonolithic>,   //
    Row<"aiter aiter_mxfp4_mxfp4", backend::AiterMxfp4Mxfp4, AiterExperts>,             //
    Row<"triton", backend::Triton, OAITritonMxfp4ExpertsMonolithic, OAITritonExperts>,  //
    Row<"flashinfer_cutlass", backend::FlashInferCutlassMxfp4Bf16, FlashInferExperts>,  //
    Row<"flashinfer_cutlass flashinfer_cutlass_afp8", backend::FlashInferCutlassMxfp4Mxfp8, FlashInferExperts>,
    Row<"marlin", backend::Marlin, MarlinExperts>,                                 //
    Row<"", backend::BatchedMarlin, BatchedMarlinExperts>,                         //
    Row<"xpu", backend::Xpu, XPUExpertsMXFp4>,                                     //
    OnRequest<"cpu", backend::Cpu, CPUExpertsMxfp4>,                               //
    OnRequest<"deep_gemm", backend::DeepGemmMxfp4, DeepGemmFP4Experts>,            //
    OnRequest<"triton_unfused", backend::TritonUnfused, UnfusedOAITritonExperts>,  //
    OnRequest<"humming", backend::Humming, BatchedHummingGroupedExperts, HummingGroupedExperts, HummingIndexedExperts>,
    OnRequest<"emulation", backend::Emulation, OcpMxQuantizationEmulationTritonExperts>,  //
    OnRequest<"", backend::None>>;

/// vLLM's oracle of mxfp4 weights as gpt-oss and Quark checkpoints bring them. The scheme's activation key is what the
/// checkpoint declares; config.moe_activation is what the user wants instead.
struct MxFp4 : MxFp4Backends {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    const QuantKey declared = keys.activation;
    const QuantKey wanted = config.moe_activation;
    if (!declared.is_none() && !wanted.is_none() && declared != wanted) {
      return Plan::failure(FailureKind::value_error, "the checkpoint declares another activation quantization");
    }
    const QuantKey activation = wanted.is_none() ? declared : wanted;
    if (!config.moe_backend.is_auto()) return requested(config, activation);
    return automatic_choice(config, activation, target);
  }

  /// The backends that a user's name stands for; Marlin means the batched one where activations arrive so.
  static constexpr BackendList named_variants(const FusedMoEConfig& config) {
    BackendList order = named(config.moe_backend);
    swap_if_batched<backend::Marlin, backend::BatchedMarlin>(order, config);
    return order;
  }

 private:
  /// Keeps the backends that quantize activations as asked. Nothing asked: those that do not quantize, if there are
  /// any. Emulation stands in for every key.
  static constexpr BackendList fitting(const BackendList& order, const QuantKey& activation) {
    BackendList kept;
    for (std::size_t i = 0; i < order.size; ++i) {
      const std::size_t backend = order.index[i];
      const bool emulates = backend == index_of<backend::Emulation> && !activation.is_none();
      if (rows[backend].activation_key == activation || emulates) kept.push_back(backend);
    }
    return kept.size == 0 && activation.is_none() ? order : kept;
  }

  static constexpr Plan requested(const FusedMoEConfig& config, const QuantKey& activation) {
    const BackendList variants = named_variants(config);
    if (variants.size == 0) {
      return Plan::failure(FailureKind::value_error, "moe_backend is not supported for MXFP4 MoE");
    }
    const BackendList order = fitting(variants, activation);
    if (order.size == 0) {
      return Plan::failure(FailureKind::value_error,
                           "the requested MXFP4 MoE backend does not quantize activations in that way");
    }
    Plan plan = with_own_keys(order);
    for (std::size_t i = 0; i < plan.size; ++i) {
      if (plan.steps[i].backend == index_of<backend::Emulation>) plan.steps[i].activation_key = activation;
    }
    return plan.or_else(FailureKind::value_error, "the requested MXFP4 MoE backend does not support the configuration");
  }

  template <class Backend>
  static constexpr Plan forced(const char* message) {
    return with_own_keys(list<Backend>()).or_else(FailureKind::value_error, message);
  }

  static constexpr Plan automatic_choice(const FusedMoEConfig&, const QuantKey& activation, const Target& target) {
    BackendList order = fitting(automatic(), activation);
    const Environment& environment = target.environment;
    if (environment.use_flashinfer_moe_mxfp4_bf16 == Switch::on) {
      const ComputeCapability capability = target.device_capability();
      if (capability == ComputeCapability{9, 0}) {
        return forced<backend::FlashInferCutlassMxfp4Bf16>("FlashInfer CUTLASS does not support the configuration");
      }
      if (capability.major_version == 10) {
        return forced<backend::FlashInferTrtLlmMxfp4Bf16>("FlashInfer TRT-LLM does not support the configuration");
      }
      return Plan::failure(FailureKind::value_error,
                           "VLLM_USE_FLASHINFER_MOE_MXFP4_BF16=1 needs capability 9.0 or 10.x");
    }
    if (environment.use_flashinfer_moe_mxfp4_bf16 == Switch::off) {
      remove<backend::FlashInferTrtLlmMxfp4Bf16, backend::FlashInferCutlassMxfp4Bf16>(order);
    }
    if (environment.use_flashinfer_moe_mxfp4_mxfp8 == Switch::on) {
      return forced<backend::FlashInferTrtLlmMxfp4Mxfp8>("FlashInfer TRT-LLM does not support the configuration");
    }
    if (environment.use_flashinfer_moe_mxfp4_mxfp8_cutlass == Switch::on) {
      return forced<backend::FlashInferCutlassMxfp4Mxfp8>("FlashInfer CUTLASS does not support the configuration");
    }
    if (environment.mxfp4_use_marlin == Switch::on) {
      return forced<backend::Marlin>("Marlin does not support the configuration");
    }

    Plan plan = with_own_keys(order);
    const auto end_with = [&plan](std::size_t backend) {
      return plan.ask(backend, quant_key::none)
          .or_else(FailureKind::value_error, "the platform's own MXFP4 class does not support the configuration");
    };
    switch (target.platform) {
      // The platform's own class has the last word, whatever was asked of the activations.
      case Platform::xpu: return end_with(index_of<backend::Xpu>);
      case Platform::cpu: return end_with(index_of<backend::Cpu>);
      case Platform::tpu:
      case Platform::out_of_tree: return plan.take(index_of<backend::None>);
      default: break;
    }
    return plan.or_else(FailureKind::not_implemented, "no MXFP4 MoE backend supports the configuration");
  }
};

/// vLLM's oracle of DeepSeek V4's mxfp4 experts. Reads no variable; a name means all its variants, whatever the keys.
struct MxFp4DeepSeekV4 : MxFp4Backends {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target& target) {
    if (!config.moe_backend.is_auto()) {
      const BackendList order = MxFp4::named_variants(config);
      if (order.size == 0) {
        return Plan::failure(FailureKind::value_error, "moe_backend is not supported for MXFP4 MoE");
      }
      return with_own_keys(order).or_else(FailureKind::value_error,
                                          "the requested MXFP4 MoE backend does not support the configuration");
    }
    return with_own_keys(order_on(config, target))
        .or_else(FailureKind::not_implemented, "no MXFP4 MoE backend supports the configuration");
  }

 private:
  static constexpr BackendList order_on(const FusedMoEConfig& config, const Target& target) {
    if (!target.is_rocm()) {
      return list<backend::FlashInferTrtLlmMxfp4Mxfp8, backend::DeepGemmMxfp4, backend::Marlin,
                  backend::BatchedMarlin>();
    }
    // AITER has no kernel for the model's own routing, so Triton's comes before it there, and only there.
    if (config.routing == RoutingMethod::deepseek_v4) return list<backend::TritonUnfused, backend::AiterMxfp4Bf16>();
    return list<backend::AiterMxfp4Bf16>();
  }
};

}  // namespace polymoe::oracle::vllm
