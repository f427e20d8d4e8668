// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of int4 and int8 weights by 16-bit activations. It does not look at the requested name.
struct IntWna16 : BackendTable<                                 //
                      Row<"", backend::Marlin, MarlinExperts>,  //
                      Row<"", backend::BatchedMarlin, BatchedMarlinExperts>> {
  static constexpr Plan priority(const FusedMoEConfig&, const QuantKeys&, const Target&) {
    return with_own_keys(automatic())
        .or_else(FailureKind::not_implemented, "no WNA16 MoE backend supports the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
