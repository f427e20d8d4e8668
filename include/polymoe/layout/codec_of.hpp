// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/layout/unquantized_codec.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// How a scheme's weights are packed for a microkernel that multiplies elements of type Element.
template <quant::Scheme Scheme, class Element>
struct CodecOf;

template <class Element>
struct CodecOf<quant::Unquantized, Element> {
  using type = UnquantizedCodec<Element>;
};

template <quant::Scheme Scheme, class Element>
using codec_of = typename CodecOf<Scheme, Element>::type;

}  // namespace polymoe::inline POLYMOE_ISA::layout
