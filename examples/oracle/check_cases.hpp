// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "examples/oracle/check_strategies.hpp"
#include "examples/oracle/line_reader.hpp"
#include "examples/oracle/oracles.hpp"
#include "examples/oracle/query.hpp"

namespace polymoe::tools {

namespace detail {

/// The words by which a recorded reason is known, beside the reason that a candidate gives here.
struct ReasonRow {
  std::string_view reason;
  std::string_view recorded;
};

inline constexpr std::array<ReasonRow, 11> reason_table{{
    {"kernel does not support current device", "current device"},
    {"kernel does not support no act_and_mul MLP layer", "no act_and_mul"},
    {"kernel does not support the activation format", "activation format"},
    {"kernel does not support the activation", "MoEActivation."},
    {"kernel does not support quantization scheme", "quantization scheme"},
    {"kernel does not support the parallel config", "parallel config"},
    {"kernel does not support the routing method", "routing method"},
    {"kernel does not support batch invariance", "batch invariance"},
    {"kernel does not support LoRA", "LoRA"},
    {"activation_format mismatched", "activation_format mismatched"},
    {"preferred gemm type mismatched", "gemm type mismatched"},
}};

inline bool same_reason(std::string_view reason, std::string_view recorded) {
  for (const ReasonRow& row : reason_table) {
    if (reason.starts_with(row.reason)) return recorded.find(row.recorded) != std::string_view::npos;
  }
  return false;
}

inline std::string text_or_null(const json& value) {
  return value.is_null() ? std::string() : value.get<std::string>();
}

inline std::string compare_rejected(const oracle::Explanation& answer, const json& recorded) {
  if (answer.rejected() != recorded.size()) {
    return std::to_string(answer.rejected()) + " candidates refused instead of " + std::to_string(recorded.size());
  }
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    const oracle::Verdict& verdict = answer.verdicts[i];
    const json& row = recorded[i];
    const std::string who = row.at("backend").get<std::string>() + "/" + row.at("experts").get<std::string>();
    if (std::string(verdict.candidate.backend) + "/" + std::string(verdict.candidate.experts) != who) {
      return "candidate " + std::to_string(i) + " is " + std::string(verdict.candidate.experts) + " instead of " + who;
    }
    if (key_from(row, "weight_key") != verdict.keys.weight ||
        key_from(row, "activation_key") != verdict.keys.activation) {
      return who + " was asked with other keys";
    }
    if (!same_reason(verdict.support.reason(), text_or_null(row.at("reason")))) {
      return who + " refused since \"" + std::string(verdict.support.reason()) + "\" instead of " +
             row.at("reason").dump();
    }
  }
  return {};
}

inline std::string compare_outcome(const oracle::Explanation& answer, const json& expected) {
  if (expected.contains("error")) {
    const std::string kind = expected.at("error").get<std::string>();
    if (answer.found()) {
      return "selected " + std::string(answer.selection().backend) + " instead of raising " + kind;
    }
    if (name(answer.failure.kind) != kind) return std::string(name(answer.failure.kind)) + " instead of " + kind;
    if (!expected.contains("raised_inside")) return {};
    const json& inside = expected.at("raised_inside");
    if (answer.failure.raised_by == oracle::Failure::nobody) return "nobody raised";
    const oracle::CandidateInfo& raiser = answer.verdicts[answer.failure.raised_by].candidate;
    const bool same = raiser.backend == inside.at("backend").get<std::string>() &&
                      raiser.experts == inside.at("experts").get<std::string>();
    return same ? std::string() : std::string(raiser.experts) + " raised instead of " + inside.dump();
  }
  if (!answer.found()) return std::string(name(answer.failure.kind)) + " instead of " + expected.dump();
  const oracle::CandidateInfo& selected = answer.selection();
  const bool same =
      selected.backend == expected.at("backend").get<std::string>() &&
      selected.experts == text_or_null(expected.at("experts")) &&
      selected.is_monolithic == (expected.at("monolithic").is_boolean() && expected.at("monolithic").get<bool>());
  return same ? std::string()
              : std::string(selected.backend) + "/" + std::string(selected.experts) + " instead of " + expected.dump();
}

/// What is wrong with our answer to a recorded case; empty where nothing is.
inline std::string check_selection(const json& recorded) {
  Query query = query_from_json(recorded);
  query.config.selection = selection::vllm_parity;
  const NamedOracle* const asked = find_oracle(query.oracle);
  if (asked == nullptr) return "no oracle is called " + query.oracle;
  const oracle::Explanation answer = asked->explain(query.config, query.keys, query.target);
  const std::string wrong = compare_outcome(answer, recorded.at("expect"));
  return wrong.empty() ? compare_rejected(answer, recorded.at("rejected")) : wrong;
}

/// The same for a recorded case of any kind.
inline std::string check_case(const json& recorded) {
  const std::string kind = member<std::string>(recorded, "kind", "");
  if (kind == "maybe_make_prepare_finalize") return check_strategy(recorded);
  if (kind == "maybe_roundup_layer_hidden_size") return check_round_up(recorded);
  return check_selection(recorded);
}

}  // namespace detail

/// Answers every recorded case of a file and prints "N passed, N failed" with the first mismatches. True where all
/// passed.
inline bool check_cases(const std::string& path, std::ostream& out) {
  constexpr int shown_mismatches = 10;
  LineReader lines(path);
  std::string line;
  int passed = 0;
  int failed = 0;
  while (lines.next(line)) {
    if (line.empty()) continue;
    const nlohmann::json recorded = nlohmann::json::parse(line);
    std::string wrong;
    try {
      wrong = detail::check_case(recorded);
    } catch (const std::exception& error) {
      wrong = error.what();
    }
    if (wrong.empty()) {
      ++passed;
    } else if (++failed <= shown_mismatches) {
      out << path << ": case " << recorded.value("id", -1) << ": " << wrong << '\n';
    }
  }
  out << passed << " passed, " << failed << " failed\n";
  return failed == 0;
}

}  // namespace polymoe::tools
