// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <string_view>

#include "polymoe/oracle/selection.hpp"
#include "polymoe/oracle/vllm/fp8.hpp"
#include "polymoe/oracle/vllm/int8.hpp"
#include "polymoe/oracle/vllm/int_wna16.hpp"
#include "polymoe/oracle/vllm/mxfp4.hpp"
#include "polymoe/oracle/vllm/mxfp8.hpp"
#include "polymoe/oracle/vllm/nvfp4.hpp"
#include "polymoe/oracle/vllm/unquantized.hpp"

namespace polymoe::tools {

/// An oracle by its name, for questions at run time.
struct NamedOracle {
  std::string_view name;
  oracle::Explanation (*explain)(const FusedMoEConfig&, const QuantKeys&, const Target&);
};

inline constexpr std::array<NamedOracle, 8> oracles{{
    {"unquantized", oracle::explain_selection<oracle::vllm::Unquantized>},
    {"fp8", oracle::explain_selection<oracle::vllm::Fp8>},
    {"mxfp8", oracle::explain_selection<oracle::vllm::MxFp8>},
    {"nvfp4", oracle::explain_selection<oracle::vllm::NvFp4>},
    {"mxfp4", oracle::explain_selection<oracle::vllm::MxFp4>},
    {"mxfp4_deepseek_v4", oracle::explain_selection<oracle::vllm::MxFp4DeepSeekV4>},
    {"int8", oracle::explain_selection<oracle::vllm::Int8>},
    {"int_wna16", oracle::explain_selection<oracle::vllm::IntWna16>},
}};

}  // namespace polymoe::tools
