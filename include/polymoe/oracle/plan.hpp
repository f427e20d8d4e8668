// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/oracle/backend_list.hpp"
#include "polymoe/oracle/support.hpp"

namespace polymoe::oracle {

/// One backend's turn.
struct Step {
  std::uint8_t backend = 0;         ///< index into the oracle's list `backends`
  bool own_activation_key = false;  ///< ask with `activation_key`, not with the scheme's
  bool asked = true;                ///< false: its first class is taken without a question
  QuantKey activation_key{};

  bool operator==(const Step&) const = default;
};

/// What an oracle is going to do: whom it asks, in which order and with which keys, and how it fails when nobody
/// supports the config. No steps at all is a failure before the first question.
struct Plan {
  static constexpr std::size_t capacity = BackendList::capacity;

  std::array<Step, capacity> steps{};
  std::size_t size = 0;
  FailureKind otherwise = FailureKind::not_implemented;
  const char* message = "no MoE backend supports the configuration";

  constexpr Plan() = default;

  /// Asks every backend of a list with the scheme's keys.
  constexpr Plan(const BackendList& order) {  // NOLINT(google-explicit-constructor)
    for (std::size_t i = 0; i < order.size; ++i) ask(order.index[i]);
  }

  static constexpr Plan failure(FailureKind kind, const char* message) { return Plan{}.or_else(kind, message); }

  constexpr Plan& ask(std::size_t backend) {
    steps[size++] = {.backend = static_cast<std::uint8_t>(backend)};
    return *this;
  }

  constexpr Plan& ask(std::size_t backend, const QuantKey& activation_key) {
    steps[size++] = {
        .backend = static_cast<std::uint8_t>(backend), .own_activation_key = true, .activation_key = activation_key};
    return *this;
  }

  constexpr Plan& take(std::size_t backend) {
    steps[size++] = {.backend = static_cast<std::uint8_t>(backend), .asked = false};
    return *this;
  }

  constexpr Plan& or_else(FailureKind kind, const char* text) {
    otherwise = kind;
    message = text;
    return *this;
  }
};

}  // namespace polymoe::oracle
