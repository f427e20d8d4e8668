// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <concepts>
#include <string_view>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/oracle/support.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::oracle {

/// An experts class that an oracle may choose: a backend, a name, and a predicate that is a constexpr function of
/// values. A candidate whose kernel is in this library has a template `experts<config, Scheme>`; one that an engine
/// binds has not.
template <class C>
concept Candidate = backend::Backend<typename C::backend> &&
    requires(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
  { C::name() } -> std::convertible_to<std::string_view>;
  { C::is_monolithic } -> std::convertible_to<bool>;
  { C::activation_format } -> std::convertible_to<ActivationFormat>;
  { C::supports(config, keys, target) } -> std::same_as<Support>;
};

/// The candidate's launcher belongs to the engine, and so does the memory that it works on.
template <class C>
constexpr bool is_foreign() {
  if constexpr (requires { C::is_foreign; }) {
    return C::is_foreign;
  } else {
    return false;
  }
}

/// What can be said of a candidate without its type: a row of the tables that run-time queries read.
struct CandidateInfo {
  std::string_view backend{};
  std::string_view experts{};
  bool is_monolithic = false;
  bool is_foreign = false;
  ActivationFormat activation_format = ActivationFormat::standard;
  Support (*supports)(const FusedMoEConfig&, const QuantKeys&, const Target&) = nullptr;
};

template <Candidate C>
inline constexpr CandidateInfo candidate_info{C::backend::name(),
                                              C::name(),
                                              C::is_monolithic,
                                              is_foreign<C>(),
                                              C::activation_format,
                                              [](const FusedMoEConfig& config, const QuantKeys& keys,
                                                 const Target& target) { return C::supports(config, keys, target); }};

}  // namespace polymoe::oracle
