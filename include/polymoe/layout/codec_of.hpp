// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/layout/element_codec.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// How a scheme's weights are packed for a microkernel that multiplies elements of type Element.
template <quant::Scheme Scheme, class Element>
struct CodecOf {
  using type = ElementCodec<Element>;
};

template <quant::Scheme Scheme, class Element>
using codec_of = typename CodecOf<Scheme, Element>::type;

}  // namespace polymoe::inline POLYMOE_ISA::layout
