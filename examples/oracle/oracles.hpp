// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "polymoe/oracle/explanation.hpp"
#include "polymoe/oracle/fp8.hpp"
#include "polymoe/oracle/int8.hpp"
#include "polymoe/oracle/int_wna16.hpp"
#include "polymoe/oracle/mxfp4.hpp"
#include "polymoe/oracle/mxfp8.hpp"
#include "polymoe/oracle/nvfp4.hpp"
#include "polymoe/oracle/unquantized.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::tools {

/// An oracle by its name, for questions at run time.
struct NamedOracle {
  std::string_view name;
  quant::Family family;
  oracle::Explanation (*explain)(const FusedMoEConfig&, const QuantKeys&, const Target&);
};

inline constexpr std::array<NamedOracle, 8> oracles{{
    {"unquantized", quant::Family::unquantized, oracle::Unquantized::explain},
    {"fp8", quant::Family::fp8, oracle::Fp8::explain},
    {"mxfp8", quant::Family::mxfp8, oracle::MxFp8::explain},
    {"nvfp4", quant::Family::nvfp4, oracle::NvFp4::explain},
    {"mxfp4", quant::Family::mxfp4, oracle::MxFp4::explain},
    {"mxfp4_deepseek_v4", quant::Family::mxfp4, oracle::MxFp4DeepSeekV4::explain},
    {"int8", quant::Family::int8, oracle::Int8::explain},
    {"int_wna16", quant::Family::int_wna16, oracle::IntWna16::explain},
}};

/// Null where there is none.
inline const NamedOracle* find_oracle(std::string_view name) {
  const auto* const found = std::find_if(oracles.begin(), oracles.end(),
                                         [&](const NamedOracle& candidate) { return candidate.name == name; });
  return found == oracles.end() ? nullptr : found;
}

}  // namespace polymoe::tools
