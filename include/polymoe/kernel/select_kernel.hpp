// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/kernel/fused_moe_kernel.hpp"
#include "polymoe/kernel/oracle_for.hpp"
#include "polymoe/oracle/explanation.hpp"
#include "polymoe/oracle/selection.hpp"
#include "polymoe/prepare_finalize/no_dp_ep.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/native.hpp"

namespace polymoe::inline POLYMOE_ISA {

namespace detail_select {

/// The config as the experts see it behind a prepare/finalize strategy.
template <class PrepareFinalize>
constexpr FusedMoEConfig behind(FusedMoEConfig config) {
  config.batched_activations |= PrepareFinalize::activation_format == ActivationFormat::batched;
  return config;
}

}  // namespace detail_select

/// The oracle decides: the kernel of the first candidate that serves the layer on the target. Where none does, the
/// compiler's error names every candidate and its reason.
template <FusedMoEConfig config, quant::Scheme Scheme, Target on = target::native,
          class PrepareFinalize = prepare_finalize::NoDpEp>
using SelectKernel =
    FusedMoEKernel<detail_select::behind<PrepareFinalize>(config), Scheme,
                   typename oracle_for<Scheme>::template select_backend<detail_select::behind<PrepareFinalize>(config),
                                                                        on, Scheme>::candidate,
                   PrepareFinalize>;

/// The engine decides: the kernel of a named backend. The compiler's error says why where it cannot serve the layer.
template <FusedMoEConfig config, quant::Scheme Scheme, backend::Backend Backend, Target on = target::native,
          class PrepareFinalize = prepare_finalize::NoDpEp>
using PinKernel = FusedMoEKernel<detail_select::behind<PrepareFinalize>(config), Scheme,
                                 typename oracle_for<Scheme>::template candidate_of<
                                     Backend, detail_select::behind<PrepareFinalize>(config), on, Scheme>,
                                 PrepareFinalize>;

/// Why `Backend` does not serve the layer on the target in the form that the config asks for; empty where it does.
template <backend::Backend Backend, FusedMoEConfig config, quant::Scheme Scheme, Target on = target::native>
inline constexpr std::string_view refusal = oracle_for<Scheme>::template refusal_of<Backend>(config, Scheme::keys, on);

/// All candidates with their answers, as a value.
template <FusedMoEConfig config, quant::Scheme Scheme, Target on = target::native>
inline constexpr oracle::Explanation explanation = oracle_for<Scheme>::explain(config, Scheme::keys, on);

/// The oracle's choice as a value: selected<config, Scheme, target> == backend_v<backend::AmxBf16>.
template <FusedMoEConfig config, quant::Scheme Scheme, Target on = target::native>
inline constexpr std::string_view selected = explanation<config, Scheme, on>.found()
                                                 ? explanation<config, Scheme, on>.selection().backend
                                                 : std::string_view{};
template <backend::Backend Backend>
inline constexpr std::string_view backend_v = Backend::name();

/// Prints the table of candidates with reasons.
template <FusedMoEConfig config, quant::Scheme Scheme, Target on = target::native>
void explain(std::FILE* stream = stdout) {
  const std::string text = oracle::to_string(explanation<config, Scheme, on>);
  std::fwrite(text.data(), 1, text.size(), stream);
}

}  // namespace polymoe::inline POLYMOE_ISA
