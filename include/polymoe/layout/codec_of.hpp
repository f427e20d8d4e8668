// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/layout/channel_codec.hpp"
#include "polymoe/layout/dense_codec.hpp"
#include "polymoe/layout/element_codec.hpp"
#include "polymoe/layout/fp8_block_codec.hpp"
#include "polymoe/layout/int_group_codec.hpp"
#include "polymoe/layout/mx_codec.hpp"
#include "polymoe/layout/nvfp4_codec.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::layout {

/// How weights of a key are packed for a microkernel that multiplies elements of type Element.
template <QuantKey key, class Element>
struct CodecOfKey;

template <class Element>
struct CodecOfKey<quant_key::none, Element> {
  using type = ElementCodec<Element>;
};
template <>
struct CodecOfKey<quant_key::none, float> {
  using type = DenseCodec;
};
template <class Element>
struct CodecOfKey<quant_key::fp8_static_tensor, Element> {
  using type = ChannelCodec<Element, QuantElement::f8_e4m3>;
};
template <class Element>
struct CodecOfKey<quant_key::fp8_static_channel, Element> {
  using type = ChannelCodec<Element, QuantElement::f8_e4m3>;
};
template <class Element>
struct CodecOfKey<quant_key::fp8_static_block128, Element> {
  using type = Fp8BlockCodec<Element>;
};
template <class Element>
struct CodecOfKey<quant_key::mxfp8_static, Element> {
  using type = MxCodec<Element, QuantElement::f8_e4m3>;
};
template <class Element>
struct CodecOfKey<quant_key::mxfp4_static, Element> {
  using type = MxCodec<Element, QuantElement::e2m1>;
};
template <class Element>
struct CodecOfKey<quant_key::nvfp4_static, Element> {
  using type = NvFp4Codec<Element>;
};
template <>
struct CodecOfKey<quant_key::int8_static_channel, std::int8_t> {
  using type = ElementCodec<std::int8_t>;
};
template <class Element>
struct CodecOfKey<quant_key::int8_static_channel, Element> {
  using type = ChannelCodec<Element, QuantElement::i8>;
};
template <class Element>
struct CodecOfKey<quant_key::int4_static_group, Element> {
  using type = IntGroupCodec<Element, 4>;
};
template <class Element>
struct CodecOfKey<quant_key::int8_static_group, Element> {
  using type = IntGroupCodec<Element, 8>;
};

/// How a scheme's weights are packed.
template <quant::Scheme Scheme, class Element>
using codec_of = typename CodecOfKey<Scheme::keys.weight, Element>::type;

}  // namespace polymoe::inline POLYMOE_ISA::layout
