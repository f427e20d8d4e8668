// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <boost/mp11/list.hpp>
#include <cstddef>
#include <string_view>

#include "polymoe/oracle/backend_list.hpp"
#include "polymoe/oracle/candidates/amx_bf16.hpp"
#include "polymoe/oracle/candidates/amx_int8.hpp"
#include "polymoe/oracle/candidates/avx512_bf16.hpp"
#include "polymoe/oracle/candidates/avx512_vnni.hpp"
#include "polymoe/oracle/candidates/reference.hpp"
#include "polymoe/oracle/candidates/simd.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// The three forms of one experts class, monolithic before modular before batched.
template <template <ExpertsForm> class Experts>
using all_forms = boost::mp11::mp_list<Experts<ExpertsForm::monolithic>, Experts<ExpertsForm::modular>,
                                       Experts<ExpertsForm::batched>>;

/// Which experts classes compute a CPU backend: one line each.
template <class Backend>
struct CpuKernelClasses;

template <>
struct CpuKernelClasses<backend::AmxBf16> {
  using type = all_forms<AmxBf16Experts>;
};
template <>
struct CpuKernelClasses<backend::Avx512Bf16> {
  using type = all_forms<Avx512Bf16Experts>;
};
template <>
struct CpuKernelClasses<backend::AmxInt8> {
  using type = all_forms<AmxInt8Experts>;
};
template <>
struct CpuKernelClasses<backend::Avx512Vnni> {
  using type = all_forms<Avx512VnniExperts>;
};
template <class Arch>
struct CpuKernelClasses<backend::Simd<Arch>> {
  template <ExpertsForm form>
  using experts = SimdExperts<Arch, form>;
  using type = all_forms<experts>;
};
template <>
struct CpuKernelClasses<backend::Reference> {
  using type = all_forms<ReferenceExperts>;
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
