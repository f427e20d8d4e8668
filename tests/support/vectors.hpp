// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <gtest/gtest.h>

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "polymoe/numeric/vector.hpp"

namespace polymoe::test {

template <class Arch>
using IsCompiled = boost::mp11::mp_bool<Arch::supported()>;
template <class Arch>
using FloatBatch = xsimd::batch<float, Arch>;

/// A plain float and the vectors of every backend that this translation unit is compiled for.
using Architectures = boost::mp11::mp_copy_if<
    boost::mp11::mp_list<xsimd::sse4_2, xsimd::fma3<xsimd::avx2>, xsimd::avx512bw, xsimd::neon64>, IsCompiled>;
using Vectors =
    boost::mp11::mp_rename<boost::mp11::mp_push_front<boost::mp11::mp_transform<FloatBatch, Architectures>, float>,
                           testing::Types>;

}  // namespace polymoe::test
