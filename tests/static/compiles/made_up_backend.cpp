// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// A made-up backend is one file (made_up_backend.hpp) and one line in a table: nothing else knows of it, and the engine
// asks, explains, maps and binds it like the others.

#include <string_view>
#include <type_traits>

#include "polymoe/oracle/oracle.hpp"
#include "polymoe/oracle/vllm/backend_table.hpp"
#include "polymoe/oracle/vllm/experts/marlin.hpp"
#include "polymoe/oracle/vllm/experts/triton.hpp"
#include "polymoe/quant/scheme.hpp"
#include "tests/static/made_up_backend.hpp"

namespace polymoe {
namespace {

/// A table as vLLM's of fp8, cut down to what the test needs.
struct Table
    : oracle::vllm::BackendTable<oracle::vllm::Row<"triton", backend::Triton, oracle::vllm::TritonExperts>,
                                 oracle::vllm::Row<"abacus", backend::Abacus, oracle::vllm::AbacusExperts>,  // the one
                                                                                                             // line
                                 oracle::vllm::Row<"marlin", backend::Marlin, oracle::vllm::MarlinExperts>> {
  static constexpr oracle::Plan priority(const FusedMoEConfig& config, const QuantKeys&, const Target&) {
    return config.moe_backend.is_auto() ? automatic() : named(config.moe_backend);
  }
};

using Oracle = oracle::Oracle<Table, quant::Fp8Block128>;

constexpr FusedMoEConfig layer{.hidden_size = 2880};
constexpr QuantKeys keys{quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128, ActivationMode::faithful};

constexpr std::string_view selected(const FusedMoEConfig& config, const Target& target) {
  const oracle::Explanation answer = Oracle::explain(config, keys, target);
  return answer.found() ? answer.selection().backend : "";
}

constexpr std::string_view refusal(const FusedMoEConfig& config, const Target& target) {
  for (const oracle::Verdict& verdict : Oracle::explain(config, keys, target)) {
    if (verdict.candidate.backend == "ABACUS") return verdict.support.reason();
  }
  return "not asked";
}

static_assert(selected(layer, target::hopper) == "TRITON", "Triton stands before it");
static_assert(selected(layer, target::ampere) == "ABACUS", "Triton has no fp8 here, and Marlin stands behind it");
static_assert(selected(layer, target::tpu) == "ABACUS");
static_assert(selected({.hidden_size = 2048}, target::ampere) == "MARLIN");
static_assert(refusal({.hidden_size = 2048}, target::ampere) == "kernel does not support the hidden size");
static_assert(refusal({.hidden_size = 2880, .activation = Activation::gelu}, target::ampere) ==
              "kernel does not support the activation");

static_assert(selected({.hidden_size = 2880, .moe_backend = "abacus"}, target::hopper) == "ABACUS");
static_assert(std::is_same_v<decltype(Oracle::map_backend<"abacus">()), backend::Abacus>);
static_assert(std::is_same_v<Oracle::select_backend<layer, target::ampere>::backend, backend::Abacus>);
static_assert(std::is_void_v<Oracle::select_backend<layer, target::ampere>::experts>, "nobody bound a launcher");

}  // namespace
}  // namespace polymoe
