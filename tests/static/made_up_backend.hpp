// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/oracle/vllm/experts_facts.hpp"
#include "polymoe/oracle/vllm/requirements.hpp"

// Everything that a new backend needs: its tag and its experts class with what it accepts.

namespace polymoe::backend {

struct Abacus {
  static constexpr std::string_view name() { return "ABACUS"; }
};

}  // namespace polymoe::backend

namespace polymoe::oracle::vllm {

/// Counts beads: any device, gates only, block fp8, hidden sizes that fit a row of beads.
struct AbacusExperts {
  static constexpr ExpertsFacts facts{
      .name = "AbacusExperts",
      .runs_on = [](const Target&) { return true; },
      .activations = ActivationSet::of(Activation::silu),
      .takes_keys = [](const QuantKeys& keys, const Target&) { return is_fp8_block(keys); },
      .hidden_size_multiple = 10};
};

}  // namespace polymoe::oracle::vllm
