// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"

namespace polymoe::oracle::vllm {

/// vLLM's oracle of int8 weights and activations.
struct Int8 : BackendTable<Row<"triton", backend::Triton, TritonExperts>> {
  static constexpr Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target&) {
    if (config.moe_backend.is_auto()) {
      return Plan(automatic()).or_else(FailureKind::not_implemented, "no int8 MoE backend supports the configuration");
    }
    const BackendList order = named(config.moe_backend);
    if (order.size == 0) return Plan::failure(FailureKind::value_error, "moe_backend is not supported for int8 MoE");
    return only(order, "the requested int8 MoE backend does not support the configuration");
  }
};

}  // namespace polymoe::oracle::vllm
