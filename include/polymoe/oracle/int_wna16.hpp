// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/int_wna16.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes int4 and int8 weights in groups with 16-bit activations. Code minus zero point is exact in bf16; the
/// group's scale multiplies a partial sum or the unpacked weight.
using IntWna16Table = CpuTable<  //
    backend::AmxBf16,            // a panel is unpacked once and multiplied by all tokens' tiles
    backend::Avx512Bf16,         // unpacked in registers
    backend::SimdAvx512,         // fp32 products: any input type
    backend::SimdAvx2,           //
    backend::SimdNeon64,         //
    backend::SimdSse42,          //
    backend::Reference>;         // slow, exact, everywhere

using IntWna16 = Oracle<NativeFirst<IntWna16Table, vllm::IntWna16>, quant::IntWna16<4>>;

static_assert(MoEKernelOracle<IntWna16>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
