// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/fp8.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes fp8 weights with a scale per tensor, per channel or per 128 x 128 block. No CPU has fp8 arithmetic:
/// codes are unpacked to what the backend multiplies, exactly, because bf16 holds every e4m3 number.
using Fp8Table = CpuTable<  //
    backend::AmxBf16,       // a panel is unpacked once and multiplied by all tokens' tiles
    backend::Avx512Bf16,    // unpacked in registers; half the bytes of bf16 weights to stream
    backend::SimdAvx512,    // fp32 products: any input type
    backend::SimdAvx2,      //
    backend::SimdNeon64,    //
    backend::SimdSse42,     //
    backend::Reference>;    // slow, exact, everywhere

using Fp8 = Oracle<NativeFirst<Fp8Table, vllm::Fp8>, quant::Fp8Block128>;

static_assert(MoEKernelOracle<Fp8>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
