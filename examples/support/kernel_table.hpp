// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/layer_kernel.hpp"
#include "polymoe/config/error.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/kernel/oracle_for.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/dispatch.hpp"

namespace polymoe::tools {

/// All kernels that a CPU can run, and the choice among them.
class KernelTable {
 public:
  explicit KernelTable(const Target& here = target::detect()) : here_(here) {
    constexpr auto builds = entry_points<POLYMOE_KERNELS_ISAS>([]<CpuFeatures level> { return &layer_kernels<level>; });
    for (const auto& build : builds) {
      if (!here.cpu.has_all(build.required)) continue;
      for (const LayerKernel& kernel : build.function()) kernels_.push_back(kernel);
    }
  }

  /// Names of the backends that this CPU can run, each once, in the order in which oracles prefer them.
  std::vector<std::string_view> backends() const {
    std::vector<std::string_view> names;
    for (const quant::SchemeInfo& scheme : quant::scheme_table) {
      for (const oracle::Verdict& verdict : explain(any_layer, scheme.keys)) {
        const std::string_view name = verdict.candidate.backend;
        const bool is_new = std::find(names.begin(), names.end(), name) == names.end();
        if (is_new && find(name, scheme.keys) != nullptr) names.push_back(name);
      }
    }
    return names;
  }

  /// What the oracle of the scheme says about a layer on this machine.
  oracle::Explanation explain(const FusedMoEConfig& config, const QuantKeys& keys) const {
    oracle::Explanation explanation;
    quant::visit_scheme(
        keys, [&]<class Scheme>() { explanation = oracle_for<Scheme>::explain(config, Scheme::keys, here_); });
    return explanation;
  }

  /// The kernel of the named backend, or of the first that the oracle prefers where `backend` is empty. Raises
  /// UnsupportedError "... does not support this layer: ..." where there is none.
  const LayerKernel& select(const FusedMoEConfig& config, const QuantKeys& keys, std::string_view backend) const {
    std::string reason = backend.empty() ? "no backend can" : "this scheme has no backend of that name";
    for (const oracle::Verdict& verdict : explain(config, keys)) {
      const oracle::CandidateInfo& candidate = verdict.candidate;
      if (candidate.is_monolithic || candidate.activation_format != ActivationFormat::standard) continue;
      if (!backend.empty() && candidate.backend != backend) continue;
      const LayerKernel* const kernel = find(candidate.backend, keys);
      if (verdict.support && kernel != nullptr) return *kernel;
      reason = verdict.support ? "this program was built without it" : verdict.support.reason();
    }
    const std::string who = backend.empty() ? "polymoe" : one_line(backend);
    raise<UnsupportedError>(who + " does not support this layer: " + reason);
  }

 private:
  const LayerKernel* find(std::string_view backend, const QuantKeys& keys) const {
    const QuantKeys distinct = quant::distinct_keys(keys);
    for (const LayerKernel& kernel : kernels_) {
      if (kernel.backend == backend && kernel.keys == distinct) return &kernel;
    }
    return nullptr;
  }

  Target here_;
  std::vector<LayerKernel> kernels_;
};

}  // namespace polymoe::tools
