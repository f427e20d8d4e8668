// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA {

/// Microkernels are named here so that a candidate can be asked on any machine; only the translation units that are
/// compiled for its instruction set define one (microkernel/*.hpp).
namespace microkernel {

template <class Arch>
struct Simd;
struct Avx512Bf16;
struct Avx512Vnni;
struct AmxBf16;
struct AmxInt8;

}  // namespace microkernel

namespace experts {

/// Grouped gemm1-activation-gemm2 over experts, built from a microkernel (experts/grouped.hpp).
template <ExpertsForm form, FusedMoEConfig config, quant::Scheme Scheme, class Microkernel>
class Grouped;

}  // namespace experts

}  // namespace polymoe::inline POLYMOE_ISA
