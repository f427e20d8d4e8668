// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "examples/oracle/oracles.hpp"
#include "examples/oracle/query.hpp"
#include "polymoe/layout/accelerator/weight_format.hpp"
#include "polymoe/prepare_finalize/select_strategy.hpp"

namespace polymoe::tools {

/// An oracle's answer with what follows from it.
struct Report {
  oracle::Explanation explanation{};
  layout::accelerator::WeightFormat format{};
  prepare_finalize::StrategyChoice strategy{};
};

inline Report report_on(const NamedOracle& asked, const Query& query) {
  Report report;
  report.explanation = asked.explain(query.config, query.keys, query.target);
  const bool found = report.explanation.found();
  if (found && !report.explanation.selection().is_foreign) {
    report.format.remark = "packed by the kernel's own convert_to_kernel_format";
  } else if (found) {
    report.format = layout::accelerator::weight_format(
        {.family = asked.family,
         .backend = report.explanation.selection().backend,
         .weight_key = report.explanation.verdicts[report.explanation.selected].keys.weight,
         .act_and_mul = query.config.act_and_mul(),
         .interleaved_w13 = query.config.w13_layout == W13Layout::interleaved,
         .target = query.target});
  }
  report.strategy =
      prepare_finalize::select_strategy({.parallel = query.config.parallel,
                                         .target = query.target,
                                         .is_monolithic = found && report.explanation.selection().is_monolithic,
                                         .quantization = prepare_finalize::DispatchQuantization{},
                                         .hidden_size = query.config.hidden_size.value_or(0)});
  return report;
}

namespace detail {

inline std::string describe(const layout::accelerator::TensorFormat& format) {
  std::string text;
  for (const auto& step : format) text += (text.empty() ? "" : ", then ") + std::string(step.name);
  return text.empty() ? "as in the checkpoint" : text;
}

inline json steps_of(const layout::accelerator::TensorFormat& format) {
  json steps = json::array();
  for (const auto& step : format) steps.push_back(step.name);
  return steps;
}

}  // namespace detail

inline std::string as_text(const Report& report) {
  std::ostringstream out;
  out << to_string(report.explanation);
  if (report.strategy.strategy != nullptr) out << "prepare/finalize: " << report.strategy.strategy->name << '\n';
  if (!report.explanation.found()) return out.str();
  const layout::accelerator::WeightFormat& format = report.format;
  out << "weight format\n"
      << "  w13:       " << detail::describe(format.w13) << '\n'
      << "  w2:        " << detail::describe(format.w2) << '\n'
      << "  w13_scale: " << detail::describe(format.w13_scale) << '\n'
      << "  w2_scale:  " << detail::describe(format.w2_scale) << '\n';
  if (format.multiples != layout::accelerator::SizeMultiples{}) {
    out << "  sizes:     hidden to a multiple of " << format.multiples.hidden << ", intermediate to a multiple of "
        << format.multiples.intermediate << '\n';
  }
  if (!format.remark.empty()) out << "  besides:   " << format.remark << '\n';
  return out.str();
}

inline nlohmann::json as_json(const Report& report) {
  using nlohmann::json;
  const oracle::Explanation& explanation = report.explanation;
  json result;
  if (explanation.found()) {
    const oracle::CandidateInfo& selected = explanation.selection();
    result["backend"] = selected.backend;
    result["experts"] = selected.experts.empty() ? json(nullptr) : json(selected.experts);
    result["monolithic"] = selected.is_monolithic;
    result["weight_format"] = {{"w13", detail::steps_of(report.format.w13)},
                               {"w2", detail::steps_of(report.format.w2)},
                               {"w13_scale", detail::steps_of(report.format.w13_scale)},
                               {"w2_scale", detail::steps_of(report.format.w2_scale)},
                               {"hidden_multiple", report.format.multiples.hidden},
                               {"intermediate_multiple", report.format.multiples.intermediate},
                               {"remark", report.format.remark}};
  } else {
    result["error"] = name(explanation.failure.kind);
    result["message"] = explanation.failure.message;
  }
  result["prepare_finalize"] =
      report.strategy.strategy == nullptr ? json(nullptr) : json(report.strategy.strategy->name);
  result["candidates"] = json::array();
  for (std::size_t i = 0; i < explanation.size; ++i) {
    const oracle::Verdict& verdict = explanation.verdicts[i];
    result["candidates"].push_back({{"backend", verdict.candidate.backend},
                                    {"experts", verdict.candidate.experts},
                                    {"weight_key", name(verdict.keys.weight)},
                                    {"activation_key", name(verdict.keys.activation)},
                                    {"selected", i == explanation.selected},
                                    {"reason", verdict.support.reason()}});
  }
  return result;
}

}  // namespace polymoe::tools
