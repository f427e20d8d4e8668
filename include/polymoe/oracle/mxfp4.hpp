// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/mxfp4.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes mxfp4 weights (gpt-oss): four bits a weight to stream, sixteen numbers that one table look-up unpacks.
using MxFp4Table = CpuTable<  //
    backend::AmxBf16,         // a panel is unpacked once and multiplied by all tokens' tiles
    backend::Avx512Bf16,      // unpacked in registers by one permutation for 32 weights
    backend::SimdAvx512,      // fp32 products: any input type
    backend::SimdAvx2,        //
    backend::SimdNeon64,      //
    backend::SimdSse42,       //
    backend::Reference>;      // slow, exact, everywhere

using MxFp4 = Oracle<NativeFirst<MxFp4Table, vllm::MxFp4>, quant::Mxfp4>;

/// The same for DeepSeek V4, whose experts vLLM's other oracle of mxfp4 places.
using MxFp4DeepSeekV4 = Oracle<NativeFirst<MxFp4Table, vllm::MxFp4DeepSeekV4>, quant::Mxfp4>;

static_assert(MoEKernelOracle<MxFp4>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
