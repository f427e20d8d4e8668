// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "polymoe/config/activation_format.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/form.hpp"
#include "polymoe/experts/grouped_core.hpp"
#include "polymoe/experts/grouped_declaration.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/layout/codec_of.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::inline POLYMOE_ISA::experts {

/// What of a config the products can fold. Kernels whose configs differ elsewhere share one instantiation.
constexpr FusedMoEConfig config_of_products(const FusedMoEConfig& config) {
  return {.activation = config.activation, .numerics = config.numerics};
}

/// A form of calling the grouped experts: the same code for all three, and for all schemes that are packed alike.
template <ExpertsForm form, FusedMoEConfig config, quant::Scheme Scheme, class Microkernel>
class Grouped {
  using Core = GroupedCore<config_of_products(config), layout::codec_of<Scheme, typename Microkernel::Element>,
                           Microkernel, Scheme::keys.effective_activation()>;

 public:
  using scheme = Scheme;
  using kernel_format = typename Core::kernel_format;
  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format =
      form == ExpertsForm::batched ? ActivationFormat::batched : ActivationFormat::standard;

  Grouped(PackedWeightsView weights, const Layer& layer) : core_(weights, layer, form) {}

  const Layer& layer() const noexcept { return core_.layer(); }

  /// Bytes that one call needs for up to `max_tokens` rows (batched: rows of the whole [E * max_tokens, H] matrix).
  std::size_t workspace_size(std::int64_t max_tokens, int concurrency) const noexcept {
    return core_.workspace_size(max_tokens, concurrency);
  }

  template <Executor E>
  void apply(const ModularArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::modular) {
    core_.modular(arguments, workspace, executor);
  }

  template <Executor E>
  void apply(const MonolithicArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::monolithic) {
    core_.monolithic(arguments, workspace, executor);
  }

  template <Executor E>
  void apply(const BatchedArguments& arguments, std::byte* workspace, E& executor) const noexcept
      requires(form == ExpertsForm::batched) {
    core_.batched(arguments, workspace, executor);
  }

 private:
  Core core_;
};

}  // namespace polymoe::inline POLYMOE_ISA::experts
