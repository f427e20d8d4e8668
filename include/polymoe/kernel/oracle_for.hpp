// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/list.hpp>
#include <boost/mp11/map.hpp>
#include <type_traits>

#include "polymoe/oracle/fp8.hpp"
#include "polymoe/oracle/int8.hpp"
#include "polymoe/oracle/int_wna16.hpp"
#include "polymoe/oracle/mxfp4.hpp"
#include "polymoe/oracle/mxfp8.hpp"
#include "polymoe/oracle/nvfp4.hpp"
#include "polymoe/oracle/unquantized.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA {

namespace detail_select {

template <quant::Family family>
using family_c = std::integral_constant<quant::Family, family>;

/// One oracle for each family of schemes.
using oracles = boost::mp11::mp_list<  //
    boost::mp11::mp_list<family_c<quant::Family::unquantized>, oracle::Unquantized>,
    boost::mp11::mp_list<family_c<quant::Family::fp8>, oracle::Fp8>,
    boost::mp11::mp_list<family_c<quant::Family::mxfp8>, oracle::MxFp8>,
    boost::mp11::mp_list<family_c<quant::Family::mxfp4>, oracle::MxFp4>,
    boost::mp11::mp_list<family_c<quant::Family::nvfp4>, oracle::NvFp4>,
    boost::mp11::mp_list<family_c<quant::Family::int8>, oracle::Int8>,
    boost::mp11::mp_list<family_c<quant::Family::int_wna16>, oracle::IntWna16>>;

}  // namespace detail_select

/// The oracle that is asked about a scheme.
template <quant::Scheme Scheme>
using oracle_for =
    boost::mp11::mp_second<boost::mp11::mp_map_find<detail_select::oracles, detail_select::family_c<Scheme::family>>>;

}  // namespace polymoe::inline POLYMOE_ISA
