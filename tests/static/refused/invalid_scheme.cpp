// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
// MESSAGE: polymoe: no scheme has this pair of weight and activation keys
#include "polymoe/polymoe.hpp"

using Scheme = polymoe::quant::Quantized<polymoe::QuantKeys{polymoe::quant_key::nvfp4_static,
                                                            polymoe::quant_key::int8_dynamic_token}>;
auto family = Scheme::family;
