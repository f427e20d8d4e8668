// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

namespace polymoe::oracle::vllm {

/// Dequantizes nvfp4 and multiplies with Triton: the last resort.
struct Nvfp4QuantizationEmulationTritonExperts {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = TritonExperts::facts;
    facts.name = "Nvfp4QuantizationEmulationTritonExperts";
    facts.takes_keys = [](const QuantKeys& keys, const Target&) { return is_nvfp4(keys); };
    facts.expects_unquantized_inputs = always;
    return facts;
  }();
};

/// The same for the OCP microscaling formats, whatever the keys.
struct OcpMxQuantizationEmulationTritonExperts {
  static constexpr ExpertsFacts facts = [] {
    ExpertsFacts facts = TritonExperts::facts;
    facts.name = "OCP_MXQuantizationEmulationTritonExperts";
    facts.takes_keys = [](const QuantKeys&, const Target&) { return true; };
    facts.expects_unquantized_inputs = always;
    return facts;
  }();
};

}  // namespace polymoe::oracle::vllm
