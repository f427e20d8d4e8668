// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "polymoe/oracle/cpu_backends.hpp"
#include "polymoe/oracle/native_first.hpp"
#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/unquantized.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Who computes weights in bf16, fp16 or fp32.
struct UnquantizedTable {
  using backends = boost::mp11::mp_list<  //
      backend::AmxBf16,                   // 16 times the products of a vector unit, and streams weights as fast
      backend::Avx512Bf16,                // two bf16 products a lane and instruction
      backend::SimdAvx512,                // fp32 products: any input type
      backend::SimdAvx2,                  //
      backend::SimdNeon64,                //
      backend::SimdSse42,                 //
      backend::Reference>;                // slow, exact, everywhere

  template <class Backend>
  using kernel_classes = typename CpuKernelClasses<Backend>::type;

  /// The list is already in the order of preference, which does not depend on the layer.
  static constexpr BackendList priority(const FusedMoEConfig&, const QuantKeys&, const Target&) {
    BackendList order;
    for (std::size_t i = 0; i < boost::mp11::mp_size<backends>::value; ++i) order.push_back(i);
    return order;
  }
};

using Unquantized = Oracle<NativeFirst<UnquantizedTable, vllm::Unquantized>, quant::Unquantized>;

static_assert(MoEKernelOracle<Unquantized>);

}  // namespace polymoe::oracle::inline POLYMOE_ISA
