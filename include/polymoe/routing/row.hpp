// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "polymoe/config/routing_method.hpp"
#include "polymoe/numeric/vector.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::routing {

using vector::FloatVector;

/// Experts whose greatest score is kept by a TopK between one choice and the next.
inline constexpr std::int64_t experts_per_block = 64;

namespace detail {

constexpr std::size_t padded_bytes(std::int64_t count, std::size_t size) {
  return (static_cast<std::size_t>(count) * size + 63) / 64 * 64;
}

constexpr std::int64_t block_count(std::int64_t num_experts) {
  return (num_experts + experts_per_block - 1) / experts_per_block;
}

}  // namespace detail

/// Bytes of scratch that routing with `num_experts` experts needs, of one thread, in whatever alignment.
constexpr std::size_t routing_scratch_bytes(std::int64_t num_experts) {
  return 64 + detail::padded_bytes(num_experts, sizeof(float)) + 2 * detail::padded_bytes(num_experts, sizeof(double)) +
         detail::padded_bytes(detail::block_count(num_experts), sizeof(double));
}

/// The scratch of one row, cut into its parts.
class RoutingScratch {
 public:
  RoutingScratch(std::byte* memory, std::int64_t num_experts) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    std::byte* next = memory + ((address + 63) / 64 * 64 - address);
    logits_ = next;
    keys_ = logits_ + detail::padded_bytes(num_experts, sizeof(float));
    groups_ = keys_ + detail::padded_bytes(num_experts, sizeof(double));
    maxima_ = groups_ + detail::padded_bytes(num_experts, sizeof(double));
  }

  /// [E]: the logits in fp32.
  float* logits() const noexcept { return reinterpret_cast<float*>(logits_); }

  /// [E]: selection scores, fp32 or double.
  template <class T>
  T* keys() const noexcept {
    return reinterpret_cast<T*>(keys_);
  }

  /// [n_group]: scores of groups.
  template <class T>
  T* groups() const noexcept {
    return reinterpret_cast<T*>(groups_);
  }

  /// [ceil(E / experts_per_block)]: the greatest key of each block.
  template <class T>
  T* maxima() const noexcept {
    return reinterpret_cast<T*>(maxima_);
  }

 private:
  std::byte* logits_;
  std::byte* keys_;
  std::byte* groups_;
  std::byte* maxima_;
};

/// One token to route. k <= E; the groups divide E and have at least k experts in the topk_group best.
struct RoutingRow {
  const float* logits;       ///< [E]
  const float* bias;         ///< [E] e_score_correction_bias, or null: zeros
  std::int64_t num_experts;  ///< E
  std::int64_t top_k;        ///< k
  std::int32_t* ids;         ///< [k], receives distinct ids in [0, E) by falling selection score
  float* weights;            ///< [k], receives the weights, multiplied by routed_scaling_factor
  const RoutingParameters& parameters;
  RoutingScratch scratch;
};

/// A method of numerics.md, section 3, with vectors V. It never fails: rows with infinities or NaN get ids in range,
/// too.
template <class P>
concept RoutingPolicy = requires(const P policy, const RoutingRow& row) {
  { policy.template route<vector::Native>(row) }
  noexcept;
};

}  // namespace polymoe::inline POLYMOE_ISA::routing
