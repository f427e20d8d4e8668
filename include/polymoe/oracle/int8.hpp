// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/cpu_table.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/int8.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes int8 weights with a scale per channel. The scales of row and channel multiply an exact int32 sum, so
/// the integer backends come first where the activations are int8, too; in mode wide they refuse.
using Int8Table = CpuTable<  //
    backend::AmxInt8,        // int8 tiles: twice the products of bf16 tiles, from half the bytes
    backend::Avx512Vnni,     // four int8 products a lane and instruction
    backend::AmxBf16,        // 16-bit activations: weights are unpacked to bf16, exactly
    backend::Avx512Bf16,     //
    backend::SimdAvx512,     // fp32 products: any input type
    backend::SimdAvx2,       //
    backend::SimdNeon64,     //
    backend::SimdSse42,      //
    backend::Reference>;     // slow, exact, everywhere

using Int8 = Oracle<NativeFirst<Int8Table, vllm::Int8>, quant::Int8Channel>;

static_assert(MoEKernelOracle<Int8>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
