// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/mxfp8.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes mxfp8 weights: e4m3 codes as with fp8, and powers of two that fold into bf16's exponent.
using MxFp8Table = CpuTable<  //
    backend::AmxBf16,         // a panel is unpacked once and multiplied by all tokens' tiles
    backend::Avx512Bf16,      // unpacked in registers
    backend::SimdAvx512,      // fp32 products: any input type
    backend::SimdAvx2,        //
    backend::SimdNeon64,      //
    backend::SimdSse42,       //
    backend::Reference>;      // slow, exact, everywhere

using MxFp8 = Oracle<NativeFirst<MxFp8Table, vllm::MxFp8>, quant::Mxfp8>;

static_assert(MoEKernelOracle<MxFp8>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
