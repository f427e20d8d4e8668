// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>

#include "polymoe/activation/gelu.hpp"
#include "polymoe/activation/gelu_no_mul.hpp"
#include "polymoe/activation/gelu_tanh.hpp"
#include "polymoe/activation/gelu_tanh_no_mul.hpp"
#include "polymoe/activation/relu2_no_mul.hpp"
#include "polymoe/activation/silu.hpp"
#include "polymoe/activation/silu_no_mul.hpp"
#include "polymoe/activation/swigluoai.hpp"
#include "polymoe/activation/swiglustep.hpp"

namespace polymoe::inline POLYMOE_ISA::activation {

/// Every activation that there is code for. A new one is a file with a functor, and its line here.
using Functors = boost::mp11::mp_list<  //
    Silu,                               //
    Gelu,                               //
    GeluTanh,                           //
    SwigluOai,                          //
    SwigluStep,                         //
    SiluNoMul,                          //
    GeluNoMul,                          //
    GeluTanhNoMul,                      //
    Relu2NoMul>;

namespace detail {

template <Activation activation>
struct Is {
  template <class F>
  using fn = boost::mp11::mp_bool<F::activation == activation>;
};

}  // namespace detail

/// There is a functor for the activation: all of numerics.md, section 2.
constexpr bool has_functor(Activation activation) {
  return []<class... F>(Activation wanted, boost::mp11::mp_list<F...>) { return ((F::activation == wanted) || ...); }(
             activation, Functors{});
}

/// The functor of an activation that is known at compile time.
template <Activation activation>
requires(has_functor(activation)) using functor_of =
    boost::mp11::mp_at<Functors, boost::mp11::mp_find_if_q<Functors, detail::Is<activation>>>;

/// Calls f(functor) with the functor of an activation that is known at run time, built from `parameters`. Once per
/// call, outside the loops. Returns false, and calls nothing, where there is no functor.
template <class F>
bool visit_activation(Activation activation, const ActivationParameters& parameters, F&& f) {
  return [&]<class... Functor>(boost::mp11::mp_list<Functor...>) {
    return ((Functor::activation == activation ? (static_cast<void>(f(Functor(parameters))), true) : false) || ...);
  }(Functors{});
}

}  // namespace polymoe::inline POLYMOE_ISA::activation
