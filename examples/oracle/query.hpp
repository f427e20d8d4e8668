// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/target/target.hpp"

namespace polymoe::tools {

/// A question to an oracle.
struct Query {
  std::string oracle;
  FusedMoEConfig config{};
  QuantKeys keys{};
  Target target{};
};

namespace detail {

using nlohmann::json;

[[noreturn]] inline void refuse_value(const char* field, const std::string& found) {
  throw std::runtime_error(std::string(field) + ": found " + found + ", which is no name that is known here");
}

/// A member of an object; `otherwise` where it is absent or null.
template <class T>
T member(const json& object, const char* field, T otherwise) {
  const auto found = object.find(field);
  return found == object.end() || found->is_null() ? otherwise : found->get<T>();
}

inline QuantKey key_from(const json& object, const char* field) {
  const std::string text = member<std::string>(object, field, "none");
  const auto key = quant_key_from_name(text);
  if (!key) refuse_value(field, text);
  return *key;
}

/// Reads "DeepSeekV3", "deepseek_v3" and "deepseekv3" alike.
inline RoutingMethod routing_from(const std::string& text) {
  const auto plain = [](std::string_view name) {
    std::string result;
    for (const char c : name) {
      if (c != '_') result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return result;
  };
  for (const auto& row : polymoe::detail::routing_method_table) {
    if (plain(row.name) == plain(text)) return row.value;
  }
  refuse_value("routing_method", text);
}

inline DType dtype_from(const json& object, const char* field, DType otherwise) {
  const std::string text = member<std::string>(object, field, "");
  if (text.empty()) return otherwise;
  if (text == "bfloat16") return DType::bf16;
  if (text == "float16") return DType::f16;
  if (text == "float32") return DType::f32;
  const auto dtype = dtype_from_name(text);
  if (!dtype) refuse_value(field, text);
  return *dtype;
}

inline ParallelConfig parallel_from(const json& object) {
  ParallelConfig parallel;
  parallel.tp_size = member(object, "tp_size", 1);
  parallel.pcp_size = member(object, "pcp_size", 1);
  parallel.dp_size = member(object, "dp_size", 1);
  parallel.ep_size = member(object, "ep_size", 1);
  parallel.sp_size = member(object, "sp_size", 1);
  parallel.use_ep = member(object, "use_ep", false);
  parallel.enable_eplb = member(object, "enable_eplb", false);
  const std::string exchange = member<std::string>(object, "all2all_backend", "allgather_reducescatter");
  const auto backend = all2all_backend_from_name(exchange);
  if (!backend) refuse_value("all2all_backend", exchange);
  parallel.all2all_backend = *backend;
  return parallel;
}

inline FusedMoEConfig config_from(const json& object) {
  FusedMoEConfig config;
  config.num_experts = member<std::int64_t>(object, "num_experts", Extent::unknown);
  config.top_k = member<std::int64_t>(object, "experts_per_token", Extent::unknown);
  config.hidden_size = member<std::int64_t>(object, "hidden_dim", Extent::unknown);
  config.intermediate_size = member<std::int64_t>(object, "intermediate_size_per_partition", Extent::unknown);
  const std::string activation = member<std::string>(object, "activation", "silu");
  const auto known = activation_from_name(activation);
  if (!known) refuse_value("activation", activation);
  config.activation = *known;
  if (object.contains("is_act_and_mul")) {
    config.is_act_and_mul = object.at("is_act_and_mul").get<bool>() ? Choice::yes : Choice::no;
  }
  config.routing = routing_from(member<std::string>(object, "routing_method", "renormalize"));
  config.in_dtype = dtype_from(object, "in_dtype", DType::bf16);
  config.router_logits_dtype = dtype_from(object, "router_logits_dtype", DType::runtime);
  config.is_lora_enabled = member(object, "is_lora_enabled", false);
  config.allow_vllm_cutlass = member(object, "allow_vllm_cutlass", false);
  config.moe_activation = key_from(object, "quantization_config_moe_activation");
  if (object.contains("parallel")) config.parallel = parallel_from(object.at("parallel"));
  return config;
}

inline Libraries libraries_from(const json& platform, Platform kind, bool all) {
  const Libraries everything = kind == Platform::cuda   ? libraries::all_of_cuda
                               : kind == Platform::rocm ? libraries::all_of_rocm
                                                        : libraries::none;
  if (!platform.contains("installed")) return all ? everything : libraries::none;
  Libraries found;
  for (const json& entry : platform.at("installed")) {
    const auto library = library_from_name(entry.get<std::string>());
    if (!library) refuse_value("installed", entry.get<std::string>());
    found = found.with(Libraries::of(*library));
  }
  // Not a package: the build has it or has it not.
  if (all && kind == Platform::cuda) found = found.with(Libraries::of(Library::cutlass_group_gemm));
  return found;
}

inline Target target_from(const json& object) {
  const json& platform = object.at("platform");
  const std::string kind_name = platform.at("kind").get<std::string>();
  const auto kind = platform_from_name(kind_name);
  if (!kind) refuse_value("platform.kind", kind_name);
  Target target{.platform = *kind};
  const auto capability = platform.find("device_capability");
  if (*kind == Platform::cuda && capability != platform.end() && !capability->is_null()) {
    target.cuda_capability = {capability->at(0).get<int>(), capability->at(1).get<int>()};
  }
  const std::string device = member<std::string>(platform, "gfx", "");
  if (!device.empty()) {
    const auto number = gfx_from_name(device);
    if (!number) refuse_value("platform.gfx", device);
    target.gfx = *number;
  }
  const std::string arch = member<std::string>(platform, "cpu_arch", "x86_64");
  target.cpu_arch = arch == "x86_64" ? CpuArch::x86_64 : arch == "aarch64" ? CpuArch::aarch64 : CpuArch::other;
  if (*kind == Platform::cpu) {
    target.cpu = target.cpu_arch == CpuArch::aarch64  ? isa_level::neon64
                 : member(platform, "amx", false)     ? isa_level::amx
                 : target.cpu_arch == CpuArch::x86_64 ? isa_level::avx512
                                                      : isa_level::portable;
  }
  target.libraries = libraries_from(platform, *kind, member<std::string>(object, "libs", "all") == "all");
  target.aiter_switched_on = member(platform, "aiter_enabled", false);
  if (object.contains("env")) {
    for (const auto& [variable, value] : object.at("env").items()) {
      if (!target.environment.set(variable, value.get<std::string>())) refuse_value("env", variable);
    }
  }
  return target;
}

}  // namespace detail

/// Reads a question in the format of the recorded cases (tests/data/oracle): oracle, platform, libs, env, config,
/// weight_key, activation_key, moe_backend.
inline Query query_from_json(const nlohmann::json& object) {
  Query query;
  query.oracle = object.at("oracle").get<std::string>();
  query.config = object.contains("config") ? detail::config_from(object.at("config")) : FusedMoEConfig{};
  query.config.moe_backend = BackendName(std::string_view(detail::member<std::string>(object, "moe_backend", "auto")));
  query.keys.weight = detail::key_from(object, "weight_key");
  query.keys.activation = detail::key_from(object, "activation_key");
  query.keys.mode = query.keys.activation.is_none() ? ActivationMode::wide : ActivationMode::faithful;
  query.target = detail::target_from(object);
  return query;
}

}  // namespace polymoe::tools
