// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "polymoe/oracle/candidate.hpp"

namespace polymoe::oracle {

/// One candidate's answer.
struct Verdict {
  CandidateInfo candidate{};
  Support support{};
};

/// The answers of all candidates in the order of priority.
struct Explanation {
  static constexpr std::size_t capacity = 64;
  static constexpr std::size_t none = capacity;

  std::array<Verdict, capacity> verdicts{};
  std::size_t size = 0;
  std::size_t selected = none;  ///< index of the first candidate that supports the config

  constexpr void add(const CandidateInfo& candidate, Support support) {
    if (support && selected == none) selected = size;
    verdicts[size++] = {candidate, support};
  }

  constexpr bool found() const { return selected != none; }
  constexpr const Verdict& chosen() const { return verdicts[selected]; }
  constexpr const Verdict* begin() const { return verdicts.data(); }
  constexpr const Verdict* end() const { return verdicts.data() + size; }
};

/// The table as text: a line a candidate, the chosen one marked, the others with the reason for the refusal.
inline std::string to_string(const Explanation& explanation) {
  std::string text;
  for (std::size_t i = 0; i < explanation.size; ++i) {
    const Verdict& verdict = explanation.verdicts[i];
    const auto padded = [](std::string_view cell, std::size_t width) {
      std::string result(cell);
      result.resize(result.size() < width ? width : result.size() + 1, ' ');
      return result;
    };
    text += i == explanation.selected ? "* " : "  ";
    text += padded(verdict.candidate.backend, 14) + padded(verdict.candidate.experts, 34);
    if (i == explanation.selected) {
      text += "selected";
    } else if (verdict.support) {
      text += "also possible";
    } else {
      text += "refused: " + std::string(verdict.support.reason());
    }
    text += '\n';
  }
  return text;
}

}  // namespace polymoe::oracle
