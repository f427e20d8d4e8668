// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>

#include "polymoe/oracle/vllm/experts/aiter.hpp"
#include "polymoe/oracle/vllm/experts/cpu.hpp"
#include "polymoe/oracle/vllm/experts/cutlass.hpp"
#include "polymoe/oracle/vllm/experts/deep_gemm.hpp"
#include "polymoe/oracle/vllm/experts/emulation.hpp"
#include "polymoe/oracle/vllm/experts/fallback.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer_trtllm.hpp"
#include "polymoe/oracle/vllm/experts/humming.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/oracle/vllm/experts/triton_kernels.hpp"
#include "polymoe/oracle/vllm/experts/unwired.hpp"
#include "polymoe/oracle/vllm/experts/xpu.hpp"

namespace polymoe::oracle::vllm {

/// Every experts class of vLLM, for tables and tests; the oracles' tables say which of them are asked.
using all_experts = boost::mp11::mp_list<
    TritonExperts, BatchedTritonExperts, Nvfp4QuantizationEmulationTritonExperts,
    OcpMxQuantizationEmulationTritonExperts, CutlassExpertsFp8, CutlassBatchedExpertsFp8, CutlassExpertsFp4,
    CutlassExpertsMxfp4, TritonOrCutlassExperts, DeepGemmExperts, BatchedDeepGemmExperts, DeepGemmFP4Experts,
    TritonOrDeepGemmExperts, MarlinExperts, BatchedMarlinExperts, HummingIndexedExperts, HummingGroupedExperts,
    BatchedHummingGroupedExperts, FlashInferExperts, FlashInferB12xExperts, FlashInferCuteDSLExperts,
    FlashInferCuteDSLBatchedExperts, TrtLlmBf16Experts, TrtLlmFp8ExpertsModular, TrtLlmFp8ExpertsMonolithic,
    TrtLlmNvFp4ExpertsModular, TrtLlmNvFp4ExpertsMonolithic, TrtLlmMxfp4ExpertsModular, TrtLlmMxfp4ExpertsMonolithic,
    OAITritonExperts, OAITritonMxfp4ExpertsMonolithic, UnfusedOAITritonExperts, AiterExperts,
    AiterW4A8ExpertsMonolithic, XPUExperts, XPUExpertsFp8, XPUExpertsMxfp8, XPUExpertsMXFp4, CPUExpertsFp8,
    CPUExpertsMxfp4, CutlassExpertsW4A8Fp8, NaiveBatchedExperts, TritonWNA16Experts>;

}  // namespace polymoe::oracle::vllm
