// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// The build has CUTLASS' grouped GEMM for this device: Hopper and datacenter Blackwell.
constexpr bool has_cutlass_group_gemm(const Target& target) {
  return target.libraries.has(Library::cutlass_group_gemm) && cuda_at_least(target, 9, 0) &&
         target.cuda_capability < ComputeCapability{11, 0};
}

inline constexpr ActivationSet cutlass_activations =
    ActivationSet::of(Activation::silu, Activation::gelu, Activation::swigluoai);

/// vLLM's grouped GEMM of fp8, with scales per tensor or per channel.
struct CutlassExpertsFp8 {
  static constexpr ExpertsFacts facts{
      .name = "CutlassExpertsFp8",
      .runs_on = has_cutlass_group_gemm,
      .activations = cutlass_activations,
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_tensor_or_channel(keys); },
      .takes_parallel =
          [](const ParallelConfig& parallel) {
            const bool high_throughput =
                parallel.use_all2all_kernels() && parallel.all2all_backend == All2AllBackend::deepep_high_throughput;
            return no_flashinfer_nvlink(parallel) && !high_throughput;
          }};
};

/// The same on [E, max_tokens, H].
struct CutlassBatchedExpertsFp8 {
  static constexpr ExpertsFacts facts{
      .name = "CutlassBatchedExpertsFp8",
      .activation_format = ActivationFormat::batched,
      .runs_on = has_cutlass_group_gemm,
      .activations = cutlass_activations,
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_tensor_or_channel(keys); }};
};

inline constexpr ActivationSet cutlass_fp4_activations =
    ActivationSet::of(Activation::silu, Activation::gelu, Activation::swigluoai, Activation::swiglustep,
                      Activation::silu_no_mul, Activation::gelu_no_mul, Activation::relu2_no_mul);

/// Grouped GEMM of nvfp4. Nothing asks whether the operation was compiled.
struct CutlassExpertsFp4 {
  static constexpr ExpertsFacts facts{.name = "CutlassExpertsFp4",
                                      .runs_on =
                                          [](const Target& target) {
                                            return cuda_family(target, 10) || cuda_family(target, 11) ||
                                                   cuda_family(target, 12);
                                          },
                                      .takes_no_act_and_mul = true,
                                      .activations = cutlass_fp4_activations,
                                      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_nvfp4(keys); },
                                      .takes_parallel = no_expert_parallelism,
                                      .expects_unquantized_inputs = always};
};

/// Grouped GEMM of mxfp4 by mxfp4. No oracle offers it.
struct CutlassExpertsMxfp4 {
  static constexpr ExpertsFacts facts{
      .name = "CutlassExpertsMxfp4",
      .runs_on = [](const Target& target) { return cuda_family(target, 10); },
      .takes_no_act_and_mul = true,
      .activations = cutlass_fp4_activations,
      .takes_keys = [](const QuantKeys& keys,
                       const Target&) { return is_pair(keys, quant_key::mxfp4_static, quant_key::mxfp4_dynamic); },
      .takes_parallel = no_expert_parallelism,
      .expects_unquantized_inputs = always};
};

}  // namespace polymoe::oracle::vllm
