// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/nvfp4.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes nvfp4 weights: as mxfp4, with a scale for 16 weights and one for all.
using NvFp4Table = CpuTable<  //
    backend::AmxBf16,         // a panel is unpacked once and multiplied by all tokens' tiles
    backend::Avx512Bf16,      // unpacked in registers by one permutation for 32 weights
    backend::SimdAvx512,      // fp32 products: any input type
    backend::SimdAvx2,        //
    backend::SimdNeon64,      //
    backend::SimdSse42,       //
    backend::Reference>;      // slow, exact, everywhere

using NvFp4 = Oracle<NativeFirst<NvFp4Table, vllm::NvFp4>, quant::NvFp4>;

static_assert(MoEKernelOracle<NvFp4>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
