// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "polymoe/config/quant_key.hpp"

namespace polymoe::bench {

/// The kinds of weights that are measured. Activations stay at 16 bits except in int8_w8a8, as by default.
struct MeasuredScheme {
  std::string_view name{};
  QuantKeys keys{};
  std::int32_t group_size = 0;  ///< of wna16

  bool computes_in_int8() const { return !keys.computes_in_16_bits(); }
};

inline constexpr std::array<MeasuredScheme, 10> schemes{{
    {"bf16", {}},
    {"fp8_block128", {quant_key::fp8_static_block128}},
    {"fp8_channel", {quant_key::fp8_static_channel}},
    {"mxfp8", {quant_key::mxfp8_static}},
    {"mxfp4", {quant_key::mxfp4_static}},
    {"nvfp4", {quant_key::nvfp4_static}},
    {"int8_w8a8", {quant_key::int8_static_channel, quant_key::int8_dynamic_token, ActivationMode::faithful}},
    {"int8_g128", {quant_key::int8_static_group}, 128},
    {"int4_g32", {quant_key::int4_static_group}, 32},
    {"int4_g128", {quant_key::int4_static_group}, 128},
}};

}  // namespace polymoe::bench
