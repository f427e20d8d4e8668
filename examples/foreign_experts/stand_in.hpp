// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "polymoe/experts/form.hpp"
#include "polymoe/experts/reference.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/oracle/foreign_experts.hpp"
#include "polymoe/oracle/vllm/experts/flashinfer.hpp"

/// What an engine writes: an experts class around its launcher, and the binding.
namespace engine {

namespace moe = polymoe;

/// Stands in for a launcher of FlashInfer's CUTLASS kernels: computes on this CPU what the device would, and counts.
template <moe::quant::Scheme Scheme>
class StandInExperts {
 public:
  using kernel_format = moe::layout::Dense<float>;

  StandInExperts(moe::PackedWeightsView weights, const moe::Layer& layer) : reference_(weights, layer) {}

  const moe::Layer& layer() const noexcept { return reference_.layer(); }

  std::size_t workspace_size(std::int64_t max_tokens, int concurrency) const noexcept {
    return reference_.workspace_size(max_tokens, concurrency);
  }

  template <moe::Executor E>
  void apply(const moe::ModularArguments& arguments, std::byte* workspace, E& executor) const noexcept {
    ++launches;
    reference_.apply(arguments, workspace, executor);
  }

  static inline int launches = 0;

 private:
  moe::experts::Reference<moe::ExpertsForm::modular, Scheme, float> reference_;
};

}  // namespace engine

/// FlashInfer's class, in whatever backend it serves.
template <class Backend>
struct polymoe::foreign_experts<polymoe::oracle::vllm::On<Backend, polymoe::oracle::vllm::FlashInferExperts>> {
  static constexpr bool is_bound = true;

  template <FusedMoEConfig, quant::Scheme Scheme>
  using experts = engine::StandInExperts<Scheme>;

  /// An engine asks its driver.
  static Target target() { return polymoe::target::hopper; }
};
