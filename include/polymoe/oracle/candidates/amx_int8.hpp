// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <string_view>

#include "polymoe/experts/grouped_declaration.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"
#include "polymoe/target/backend.hpp"
#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::oracle::inline POLYMOE_ISA {

/// Experts on AMX tiles for int8 products: int8 weights and int8 activations, int32 sums. The input is quantized from
/// what it comes as, so any floating type will do.
template <ExpertsForm form>
struct AmxInt8Experts {
  using backend = polymoe::backend::AmxInt8;
  template <FusedMoEConfig config, quant::Scheme Scheme>
  using experts = polymoe::experts::Grouped<form, config, Scheme, polymoe::microkernel::AmxInt8>;

  static constexpr bool is_monolithic = form == ExpertsForm::monolithic;
  static constexpr ActivationFormat activation_format = activation_format_of(form);
  static constexpr std::string_view name() {
    constexpr std::string_view names[]{"AmxInt8Monolithic", "AmxInt8Modular", "AmxInt8Batched"};
    return names[static_cast<int>(form)];
  }

  static constexpr Support supports(const FusedMoEConfig& config, const QuantKeys& keys, const Target& target) {
    return first_refusal(
        cpu_requirements(form, config, keys, target),
        require(target.cpu.has_all(isa_level::amx), "the CPU or the operating system has no AMX-INT8"),
        require(keys.weight == quant_key::int8_static_channel, "weights are not int8 with a scale per channel"),
        require(keys.effective_activation() == quant_key::int8_dynamic_token,
                "the activations are not to be quantized to int8, and the tiles take nothing else"));
  }
};

}  // namespace polymoe::oracle::inline POLYMOE_ISA
