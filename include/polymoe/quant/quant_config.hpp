// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/config/activation.hpp"

namespace polymoe {

/// What a kernel needs of the quantization beside the packed weights (which hold weights, scales, zero points and
/// biases): made, and checked against the scheme, by an oracle's make_quant_config.
struct QuantConfig {
  Activation activation = Activation::silu;  ///< read where the config's activation is `runtime`
  ActivationParameters activation_parameters{};
  float w13_input_scale = 1.0F;  ///< static activation scale before the first product: the maximum over experts
  float w2_input_scale = 1.0F;   ///< before the second
};

}  // namespace polymoe
