// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "examples/oracle/query.hpp"
#include "polymoe/prepare_finalize/select_strategy.hpp"

namespace polymoe::tools::detail {

/// The deployments that the recorded cases of prepare/finalize name.
struct DeploymentRow {
  std::string_view name;
  ParallelConfig parallel;
};

/// Ranks as the user names them, and what follows from them.
constexpr ParallelConfig deployment(std::int32_t tp, std::int32_t pcp, std::int32_t dp, std::int32_t sp, bool ep,
                                    All2AllBackend exchange = All2AllBackend::allgather_reducescatter,
                                    bool eplb = false) {
  const std::int32_t ranks = tp * pcp * dp;
  return {.tp_size = ep ? 1 : ranks,
          .pcp_size = pcp,
          .dp_size = dp,
          .ep_size = ep ? ranks : 1,
          .sp_size = sp,
          .use_ep = ep,
          .enable_eplb = eplb,
          .all2all_backend = exchange};
}

inline constexpr std::array<DeploymentRow, 22> deployments{{
    {"single", deployment(1, 1, 1, 1, false)},
    {"tp2", deployment(2, 1, 1, 1, false)},
    {"tp8", deployment(8, 1, 1, 1, false)},
    {"tp4_ep", deployment(4, 1, 1, 1, true)},
    {"tp4_ep_eplb", deployment(4, 1, 1, 1, true, All2AllBackend::allgather_reducescatter, true)},
    {"pcp2_ep", deployment(1, 2, 1, 1, true)},
    {"dp2_noep", deployment(1, 1, 2, 1, false)},
    {"dp2_tp2_noep", deployment(2, 1, 2, 1, false)},
    {"dp2_noep_deepep_ll", deployment(1, 1, 2, 1, false, All2AllBackend::deepep_low_latency)},
    {"tp4_ep_deepep_ll", deployment(4, 1, 1, 1, true, All2AllBackend::deepep_low_latency)},
    {"dp2_ep_agrs", deployment(1, 1, 2, 1, true)},
    {"dp2_ep_agrs_eplb", deployment(1, 1, 2, 1, true, All2AllBackend::allgather_reducescatter, true)},
    {"dp2_tp2_ep_sp_agrs", deployment(2, 1, 2, 2, true)},
    {"dp8_ep_deepep_ht", deployment(1, 1, 8, 1, true, All2AllBackend::deepep_high_throughput)},
    {"dp8_ep_deepep_ll", deployment(1, 1, 8, 1, true, All2AllBackend::deepep_low_latency)},
    {"dp8_ep_deepep_ll_eplb", deployment(1, 1, 8, 1, true, All2AllBackend::deepep_low_latency, true)},
    {"dp2_ep_fi_two_sided", deployment(1, 1, 2, 1, true, All2AllBackend::flashinfer_nvlink_two_sided)},
    {"dp2_ep_fi_all2allv", deployment(1, 1, 2, 1, true, All2AllBackend::flashinfer_all2allv)},
    {"dp2_ep_fi_one_sided", deployment(1, 1, 2, 1, true, All2AllBackend::flashinfer_nvlink_one_sided)},
    {"dp2_ep_mori", deployment(1, 1, 2, 1, true, All2AllBackend::mori)},
    {"dp2_ep_nixl", deployment(1, 1, 2, 1, true, All2AllBackend::nixl_ep)},
    {"dp2_ep_naive", deployment(1, 1, 2, 1, true, All2AllBackend::naive)},
}};

inline ParallelConfig deployment_named(const std::string& name) {
  for (const DeploymentRow& row : deployments) {
    if (row.name == name) return row.parallel;
  }
  refuse_value("parallel", name);
}

/// "cuda_sm100", "rocm_gfx942": with everything installed.
inline Target target_named(const std::string& name) {
  if (name.starts_with("cuda_sm")) {
    const int digits = std::stoi(name.substr(7));
    return target::cuda(digits / 10, digits % 10);
  }
  if (name.starts_with("rocm_")) {
    if (const auto gfx = gfx_from_name(std::string_view(name).substr(5))) return target::rocm(*gfx);
  }
  const auto kind = platform_from_name(name.substr(0, name.find('_')));
  if (!kind) refuse_value("platform", name);
  return {.platform = *kind};
}

inline std::optional<prepare_finalize::DispatchQuantization> quantization_named(const std::string& name) {
  using prepare_finalize::DispatchQuantization;
  using Kind = DispatchQuantization::Kind;
  if (name == "no_quant_config") return std::nullopt;
  if (name == "none(None)") return DispatchQuantization{};
  if (name == "fp8_tensor") return DispatchQuantization{.kind = Kind::fp8};
  if (name == "fp8_per_token") return DispatchQuantization{.kind = Kind::fp8, .per_token = true};
  if (name == "fp8_block128") return DispatchQuantization{.kind = Kind::fp8, .block = {128, 128}};
  if (name == "mxfp8") return DispatchQuantization{.kind = Kind::mxfp8};
  if (name == "mxfp8_align256") return DispatchQuantization{.kind = Kind::mxfp8, .mx_alignment = 256};
  if (name == "mxfp4") return DispatchQuantization{.kind = Kind::mxfp4};
  if (name == "nvfp4") return DispatchQuantization{.kind = Kind::nvfp4};
  refuse_value("quant_config", name);
}

/// The numbers that a recorded strategy was built from, where they were recorded.
inline std::string compare_numbers(const prepare_finalize::StrategyChoice& choice, const json& expected) {
  const json arguments = expected.value("init_kwargs", json::object());
  const json handle = expected.value("handle_args", json::object());
  const auto differs = [](const json& object, const char* field, const auto& ours) {
    return object.contains(field) && object.at(field) != json(ours);
  };
  if (differs(arguments, "num_dispatchers", choice.num_dispatchers)) return "num_dispatchers differs";
  if (differs(arguments, "is_sequence_parallel", choice.is_sequence_parallel)) return "is_sequence_parallel differs";
  if (differs(arguments, "use_fp8_dispatch", choice.use_fp8_dispatch)) return "use_fp8_dispatch differs";
  if (differs(arguments, "dispatch_dtype_bytes_per_elem", choice.dispatch_element_bytes)) return "element bytes differ";
  if (differs(arguments, "dispatch_scale_bytes_per_token", choice.dispatch_scale_bytes)) return "scale bytes differ";
  if (differs(handle, "scale_dim", choice.scale_elements)) return "scale_dim differs";
  return {};
}

/// What is wrong with our answer to a recorded maybe_make_prepare_finalize; empty where nothing is.
inline std::string check_strategy(const json& recorded) {
  const prepare_finalize::StrategyChoice choice = prepare_finalize::select_strategy(
      {.parallel = deployment_named(recorded.at("parallel").get<std::string>()),
       .target = target_named(recorded.at("platform").get<std::string>()),
       .is_monolithic = recorded.at("use_monolithic").get<bool>(),
       .allow_new_interface = recorded.at("allow_new_interface").get<bool>(),
       .quantization = quantization_named(recorded.at("quant_config").get<std::string>()),
       .hidden_size = recorded.at("hidden_dim").get<std::int64_t>()});
  const json& expected = recorded.at("expect");
  if (expected.contains("error")) {
    const std::string kind = expected.at("error").get<std::string>();
    return name(choice.failure) == kind ? std::string() : std::string(name(choice.failure)) + " instead of " + kind;
  }
  if (choice.failure != FailureKind::none) return std::string(name(choice.failure)) + " instead of " + expected.dump();
  const json& strategy = expected.at("prepare_finalize");
  const std::string ours(choice.strategy == nullptr ? std::string_view() : choice.strategy->name);
  if (ours != (strategy.is_null() ? std::string() : strategy.get<std::string>())) {
    return "\"" + ours + "\" instead of " + strategy.dump();
  }
  if (choice.strategy == nullptr) return {};
  const bool batched = choice.strategy->activation_format == ActivationFormat::batched;
  if (expected.at("activation_format") != (batched ? "BatchedExperts" : "Standard")) return "activation_format differs";
  return compare_numbers(choice, expected);
}

/// The same for a recorded maybe_roundup_layer_hidden_size.
inline std::string check_round_up(const json& recorded) {
  const prepare_finalize::RoundedSize rounded = prepare_finalize::round_up_hidden_size(
      deployment_named(recorded.at("parallel").get<std::string>()),
      target_named(recorded.at("platform").get<std::string>()), recorded.at("hidden_size").get<std::int64_t>(),
      dtype_from(recorded, "act_dtype", DType::bf16));
  const json ours = rounded.failure == FailureKind::none ? json(rounded.size) : json(name(rounded.failure));
  return ours == recorded.at("rounded") ? std::string() : ours.dump() + " instead of " + recorded.at("rounded").dump();
}

}  // namespace polymoe::tools::detail
