// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::prepare_finalize {

/// The type in which a strategy wants expert ids.
enum class IdType { any, int32, int64 };

/// What an experts class can rely on behind a strategy.
struct StrategyFacts {
  std::string_view name{};  ///< vLLM's class
  ActivationFormat activation_format = ActivationFormat::standard;
  bool output_is_reduced = false;  ///< finalize returns a token's sum, so nobody reduces over ranks again
  IdType ids = IdType::any;
  bool is_asynchronous = false;
};

/// Tokens are where their experts are.
struct NoDPEPModular {
  static constexpr StrategyFacts facts{.name = "MoEPrepareAndFinalizeNoDPEPModular"};
};
struct NoDPEPMonolithic {
  static constexpr StrategyFacts facts{.name = "MoEPrepareAndFinalizeNoDPEPMonolithic"};
};

/// All tokens to all ranks, then a reduction of the outputs.
struct NaiveDPEPModular {
  static constexpr StrategyFacts facts{.name = "MoEPrepareAndFinalizeNaiveDPEPModular"};
};
struct NaiveDPEPMonolithic {
  static constexpr StrategyFacts facts{.name = "MoEPrepareAndFinalizeNaiveDPEPMonolithic"};
};

/// DeepEP, exact counts, large batches.
struct DeepEPHighThroughput {
  static constexpr StrategyFacts facts{
      .name = "DeepEPHTPrepareAndFinalize", .output_is_reduced = true, .ids = IdType::int64, .is_asynchronous = true};
};

/// DeepEP, fixed capacity, batched format.
struct DeepEPLowLatency {
  static constexpr StrategyFacts facts{.name = "DeepEPLLPrepareAndFinalize",
                                       .activation_format = ActivationFormat::batched,
                                       .output_is_reduced = true,
                                       .ids = IdType::int64,
                                       .is_asynchronous = true};
};

/// NIXL, fixed capacity, ranks may come and go.
struct NixlEP {
  static constexpr StrategyFacts facts{.name = "NixlEPPrepareAndFinalize",
                                       .activation_format = ActivationFormat::batched,
                                       .output_is_reduced = true,
                                       .ids = IdType::int64,
                                       .is_asynchronous = true};
};

/// MoRI, AMD's.
struct Mori {
  static constexpr StrategyFacts facts{
      .name = "MoriPrepareAndFinalize", .output_is_reduced = true, .ids = IdType::int32};
};

/// FlashInfer over NVLink, both sides take part.
struct FlashInferNVLinkTwoSided {
  static constexpr StrategyFacts facts{.name = "FlashInferNVLinkTwoSidedPrepareAndFinalize", .output_is_reduced = true};
};

/// FlashInfer over NVLink, the sender writes into the receiver's memory.
struct FlashInferNVLinkOneSided {
  static constexpr StrategyFacts facts{
      .name = "FlashInferNVLinkOneSidedPrepareAndFinalize", .output_is_reduced = true, .ids = IdType::int32};
};

}  // namespace polymoe::inline POLYMOE_ISA::prepare_finalize
