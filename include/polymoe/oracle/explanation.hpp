// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "polymoe/oracle/candidate.hpp"

namespace polymoe::oracle {

/// One candidate's answer to the keys that it was asked with.
struct Verdict {
  CandidateInfo candidate{};
  Support support{};
  QuantKeys keys{};
  std::size_t index = 0;  ///< of the candidate among all that the oracle knows
};

/// Why nothing was selected.
struct Failure {
  static constexpr std::size_t nobody = ~std::size_t{0};

  FailureKind kind = FailureKind::none;
  const char* message = "";
  std::size_t raised_by = nobody;  ///< index of the verdict whose question failed
};

/// The answers of all candidates in the order of priority.
struct Explanation {
  static constexpr std::size_t capacity = 64;
  static constexpr std::size_t none = capacity;

  std::array<Verdict, capacity> verdicts{};
  std::size_t size = 0;
  std::size_t selected = none;  ///< index of the first candidate that supports the config
  Failure failure{};            ///< where none does

  constexpr void add(const CandidateInfo& candidate, Support support, const QuantKeys& keys, std::size_t index) {
    if (support && selected == none) selected = size;
    if (support.raises != FailureKind::none && selected == none) {
      failure = {.kind = support.raises, .message = support.refusal, .raised_by = size};
    }
    verdicts[size++] = {candidate, support, keys, index};
  }

  constexpr bool found() const { return selected != none; }
  constexpr bool failed() const { return failure.kind != FailureKind::none; }
  constexpr const Verdict* begin() const { return verdicts.data(); }
  constexpr const Verdict* end() const { return verdicts.data() + size; }

  /// The selected candidate; only where there is one.
  constexpr const CandidateInfo& selection() const { return verdicts[selected].candidate; }

  /// How many candidates refused before the selected one, or before the failure.
  constexpr std::size_t rejected() const {
    return found() ? selected : failure.raised_by == Failure::nobody ? size : failure.raised_by;
  }
};

/// The table as text: a line a candidate, the chosen one marked, the others with the reason for the refusal.
inline std::string to_string(const Explanation& explanation) {
  const auto padded = [](std::string_view cell, std::size_t width) {
    std::string result(cell);
    result.resize(result.size() < width ? width : result.size() + 1, ' ');
    return result;
  };
  std::size_t backend_width = 14;
  for (const Verdict& verdict : explanation) {
    if (verdict.candidate.backend.size() >= backend_width) backend_width = verdict.candidate.backend.size() + 1;
  }
  std::string text;
  for (std::size_t i = 0; i < explanation.size; ++i) {
    const Verdict& verdict = explanation.verdicts[i];
    text += i == explanation.selected ? "* " : "  ";
    text += padded(verdict.candidate.backend, backend_width) + padded(verdict.candidate.experts, 34);
    if (i == explanation.selected) {
      text += "selected";
    } else if (verdict.support) {
      text += "also possible";
    } else {
      text += "refused: " + std::string(verdict.support.reason());
    }
    text += '\n';
  }
  if (explanation.failed()) {
    text += std::string(name(explanation.failure.kind)) + ": " + explanation.failure.message + '\n';
  }
  return text;
}

}  // namespace polymoe::oracle
