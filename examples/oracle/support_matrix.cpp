// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// Prints docs/support_matrix.md from the tables that selection reads.

#include <array>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "examples/oracle/oracles.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/oracle/vllm/all_experts.hpp"

namespace {

using namespace polymoe;

struct Machine {
  std::string_view name;
  Target target;
};

constexpr Target with_aiter(Target target) {
  target.aiter_switched_on = true;
  return target;
}

constexpr std::array<Machine, 18> machines{{
    {"sm_75", target::cuda(7, 5)},
    {"sm_80", target::cuda(8, 0)},
    {"sm_89", target::cuda(8, 9)},
    {"sm_90", target::cuda(9, 0)},
    {"sm_100", target::cuda(10, 0)},
    {"sm_103", target::cuda(10, 3)},
    {"sm_110", target::cuda(11, 0)},
    {"sm_120", target::cuda(12, 0)},
    {"gfx90a", target::rocm(gfx::gfx90a)},
    {"gfx942", target::rocm(gfx::gfx942)},
    {"gfx942, AITER", with_aiter(target::rocm(gfx::gfx942))},
    {"gfx950, AITER", with_aiter(target::rocm(gfx::gfx950))},
    {"gfx1100", target::rocm({0x1100})},
    {"gfx1201", target::rocm({0x1201})},
    {"xpu", target::xpu},
    {"tpu", target::tpu},
    {"oot", target::out_of_tree},
    {"cpu (vLLM)", target::sapphire_rapids},
}};

struct Question {
  std::string_view oracle;
  std::string_view label;
  QuantKeys keys;
  Activation activation = Activation::silu;
};

constexpr QuantKeys pair(const QuantKey& weight, const QuantKey& activation = quant_key::none) {
  return {weight, activation, activation.is_none() ? ActivationMode::wide : ActivationMode::faithful};
}

constexpr std::array<Question, 12> questions{{
    {"unquantized", "bf16", {}},
    {"fp8", "fp8 blocks of 128", pair(quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128)},
    {"fp8", "fp8 channels, tokens", pair(quant_key::fp8_static_channel, quant_key::fp8_dynamic_token)},
    {"fp8", "fp8 tensors, static", pair(quant_key::fp8_static_tensor, quant_key::fp8_static_tensor)},
    {"fp8", "fp8 tensors, dynamic", pair(quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor)},
    {"mxfp8", "mxfp8", pair(quant_key::mxfp8_static, quant_key::mxfp8_dynamic)},
    {"nvfp4", "nvfp4", pair(quant_key::nvfp4_static, quant_key::nvfp4_dynamic)},
    {"mxfp4", "mxfp4 (gpt-oss)", pair(quant_key::mxfp4_static), Activation::swigluoai},
    {"mxfp4", "mxfp4, mxfp8 activations", pair(quant_key::mxfp4_static, quant_key::mxfp8_dynamic),
     Activation::swigluoai},
    {"mxfp4_deepseek_v4", "mxfp4 (DeepSeek V4)", pair(quant_key::mxfp4_static)},
    {"int8", "int8", pair(quant_key::int8_static_channel, quant_key::int8_dynamic_token)},
    {"int_wna16", "int4", pair(quant_key::int4_static_group)},
}};

void row(const std::vector<std::string>& cells) {
  for (const std::string& cell : cells) std::cout << "| " << cell << ' ';
  std::cout << "|\n";
}

void header(const std::vector<std::string>& cells) {
  row(cells);
  row(std::vector<std::string>(cells.size(), "---"));
}

void print_choices() {
  std::cout
      << "## What is selected\n\n"
         "One rank, gated silu (gpt-oss: swigluoai), routing renormalize, every library installed, no variable set, "
         "`selection::vllm_parity`. \"-\": nothing, an error.\n\n";
  std::vector<std::string> cells{"scheme"};
  for (const Machine& machine : machines) cells.emplace_back(machine.name);
  header(cells);
  for (const Question& question : questions) {
    cells = {std::string(question.label)};
    const tools::NamedOracle& asked = *tools::find_oracle(question.oracle);
    for (const Machine& machine : machines) {
      FusedMoEConfig config;
      config.activation = question.activation;
      config.selection = selection::vllm_parity;
      config.allow_vllm_cutlass = true;
      if (question.oracle == "mxfp4_deepseek_v4") config.routing = RoutingMethod::deepseek_v4;
      const oracle::Explanation answer = asked.explain(config, question.keys, machine.target);
      cells.emplace_back(answer.found() ? answer.selection().backend : "-");
    }
    row(cells);
  }
  std::cout << '\n';
}

std::string mark(bool yes) {
  return yes ? "yes" : "";
}

/// Whether activations reach the class as they are, and it quantizes them.
std::string quantizes_itself(const oracle::vllm::ExpertsFacts& facts) {
  if (facts.expects_unquantized_inputs == nullptr) return "";
  return facts.expects_unquantized_inputs == oracle::vllm::always ? "yes" : "depends";
}

std::string names_of_activations(oracle::vllm::ActivationSet set) {
  std::string text;
  for (const auto& entry : polymoe::detail::activation_table) {
    if (set.has(entry.value)) text += (text.empty() ? "" : " ") + std::string(entry.name);
  }
  return set.bits == oracle::vllm::every_activation.bits ? "all but relu2" : text;
}

std::string machines_of(const oracle::vllm::ExpertsFacts& facts) {
  std::string text;
  for (const Machine& machine : machines) {
    if (facts.runs_on != nullptr && facts.runs_on(machine.target)) {
      text += (text.empty() ? "" : ", ") + std::string(machine.name == "cpu (vLLM)" ? "cpu" : machine.name);
    }
  }
  return text.empty() ? "none" : text;
}

/// The pairs of keys that a class takes on at least one machine that it runs on.
std::string pairs_of(const oracle::vllm::ExpertsFacts& facts) {
  if (facts.takes_keys == nullptr) return "";
  std::string text;
  for (const auto& weight : polymoe::detail::quant_key_table) {
    std::string activations;
    std::size_t count = 0;
    for (const auto& activation : polymoe::detail::quant_key_table) {
      const QuantKeys keys = pair(weight.value, activation.value);
      bool taken = false;
      for (const Machine& machine : machines) {
        taken |= facts.runs_on(machine.target) && facts.takes_keys(keys, machine.target);
      }
      if (!taken) continue;
      activations += (count++ == 0 ? "" : ", ") + std::string(activation.name);
    }
    if (count == 0) continue;
    const bool any = count == polymoe::detail::quant_key_table.size();
    text += (text.empty() ? "" : "; ") + std::string(weight.name) + " x " + (any ? "any" : activations);
  }
  return text;
}

void print_classes() {
  std::cout << "## vLLM's experts classes\n\n"
               "Devices with every library installed; the pairs of keys (weight x activation) are those that a class "
               "takes on "
               "at least one of them.\n\n";
  header({"class", "form", "devices", "key pairs", "activations", "without gate", "LoRA", "batch invariant",
          "quantizes itself", "expert map"});
  boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, oracle::vllm::all_experts>>(
      [](const auto identity) {
        const oracle::vllm::ExpertsFacts& facts = decltype(identity)::type::facts;
        const bool batched = facts.activation_format == ActivationFormat::batched;
        row({std::string(facts.name),
             facts.is_monolithic ? "monolithic"
             : batched           ? "batched"
                                 : "modular",
             machines_of(facts), pairs_of(facts), names_of_activations(facts.activations),
             mark(facts.takes_no_act_and_mul), mark(facts.has_lora), mark(facts.is_batch_invariant),
             quantizes_itself(facts), mark(facts.takes_expert_map)});
      });
  std::cout << '\n';
}

constexpr std::array<Machine, 6> cpus{{{"portable", target::portable},
                                       {"x86-64-v2", target::x86_64_v2},
                                       {"avx2", target::haswell},
                                       {"avx512", target::skylake_avx512},
                                       {"avx512_bf16", target::zen4},
                                       {"amx", target::sapphire_rapids}}};

void print_native_row(const Question& question, ActivationMode mode) {
  const bool faithful = mode == ActivationMode::faithful;
  std::vector<std::string> cells{std::string(question.label) + (faithful ? ", faithful" : "")};
  for (const Machine& machine : cpus) {
    const oracle::Explanation answer =
        tools::find_oracle(question.oracle)
            ->explain({.activation = question.activation}, {question.keys.weight, question.keys.activation, mode},
                      machine.target);
    cells.emplace_back(answer.found() ? answer.selection().backend : "-");
  }
  row(cells);
}

void print_native() {
  std::cout << "## This library's kernels\n\n"
               "What a CPU gets under the default policy, `selection::native_first`: hidden states in bf16, expert ids "
               "given. "
               "Faithful: activations are quantized as the key says.\n\n";
  std::vector<std::string> cells{"scheme"};
  for (const Machine& machine : cpus) cells.emplace_back(machine.name);
  header(cells);
  for (const Question& question : questions) {
    if (question.oracle == "mxfp4_deepseek_v4") continue;
    print_native_row(question, ActivationMode::wide);
    if (!question.keys.activation.is_none()) print_native_row(question, ActivationMode::faithful);
  }
}

}  // namespace

int main() {
  std::cout << "# Support matrix\n\n"
               "Made by polymoe-support-matrix from the tables that selection reads; a test compares.\n\n";
  print_choices();
  print_classes();
  print_native();
}
