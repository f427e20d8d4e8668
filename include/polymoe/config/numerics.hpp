// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

namespace polymoe {

/// What the bits of a result may depend on. Never on the number of threads, nor on what of a layer the compiler knew.
struct Numerics {
  bool batch_invariant = false;

  bool operator==(const Numerics&) const = default;
};

/// FusedMoEConfig{.numerics = numerics::BatchInvariant{}}
namespace numerics {

/// A token's experts are added up in the order of its slots in small batches and by rising expert in large ones, where
/// that spares memory: the last bit of a sum of three and more may depend on the size of the batch.
struct Fastest {
  constexpr operator Numerics() const { return {}; }  // NOLINT(google-explicit-constructor)
};

/// A token's output is the same bits whatever else is in the batch. Experts are added up by rising index, always.
/// Refused for activations that share one scale with the whole batch (fp8_dynamic_tensor).
struct BatchInvariant {
  constexpr operator Numerics() const { return {.batch_invariant = true}; }  // NOLINT(google-explicit-constructor)
};

}  // namespace numerics
}  // namespace polymoe
