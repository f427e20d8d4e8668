// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::prepare_finalize {

/// Neither data nor expert parallelism: tokens are where their experts are. Nothing is moved; the experts weight and
/// reduce by themselves, in the pass that computes.
struct NoDpEp {
  static constexpr ActivationFormat activation_format = ActivationFormat::standard;

  template <class Experts>
  static std::size_t workspace_size(const Experts& experts, std::int64_t max_tokens, int concurrency) noexcept {
    return experts.workspace_size(max_tokens, concurrency);
  }

  template <class Experts, class Arguments, Executor E>
  static void apply(const Experts& experts, const Arguments& arguments, std::byte* workspace, E& executor) noexcept {
    experts.apply(arguments, workspace, executor);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::prepare_finalize
