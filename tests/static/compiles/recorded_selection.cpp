// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// 600 of vLLM's recorded choices, decided again by the compiler: the backend, the experts class, and who was refused
// before, in order; or the kind of error.

#include <string_view>

#include "polymoe/oracle/fp8.hpp"
#include "polymoe/oracle/int8.hpp"
#include "polymoe/oracle/int_wna16.hpp"
#include "polymoe/oracle/mxfp4.hpp"
#include "polymoe/oracle/mxfp8.hpp"
#include "polymoe/oracle/nvfp4.hpp"
#include "polymoe/oracle/unquantized.hpp"

namespace polymoe {
namespace {

/// An outcome as it was recorded.
struct Expected {
  FailureKind failure = FailureKind::none;
  std::string_view backend{};
  std::string_view experts{};
  std::string_view refused{};  ///< "BACKEND/Class BACKEND/Class ..."

  constexpr Expected after(std::string_view candidates) const { return {failure, backend, experts, candidates}; }
};

constexpr Expected selects(std::string_view backend, std::string_view experts) {
  return {.backend = backend, .experts = experts};
}

constexpr Expected fails(FailureKind kind) {
  return {.failure = kind};
}

template <class Oracle>
constexpr oracle::Explanation answer(const FusedMoEConfig& config, const QuantKey& weight, const QuantKey& activation,
                                     const Target& target) {
  return Oracle::explain(config, {weight, activation, ActivationMode::faithful}, target);
}

/// Cuts `word` off the front of `text`; false where something else stands there.
constexpr bool cut(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

constexpr bool operator==(const oracle::Explanation& answer, const Expected& expected) {
  if (answer.failure.kind != expected.failure) return false;
  if (answer.found() &&
      (answer.selection().backend != expected.backend || answer.selection().experts != expected.experts)) {
    return false;
  }
  std::string_view refused = expected.refused;
  for (std::size_t i = 0; i < answer.rejected(); ++i) {
    const oracle::CandidateInfo& candidate = answer.verdicts[i].candidate;
    if (i > 0 && !cut(refused, " ")) return false;
    if (!cut(refused, candidate.backend) || !cut(refused, "/") || !cut(refused, candidate.experts)) return false;
  }
  return refused.empty();
}

#include "tests/static/oracle_cases.hpp"

}  // namespace
}  // namespace polymoe
