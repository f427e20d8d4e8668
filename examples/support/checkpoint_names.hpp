// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "polymoe/config/w13_layout.hpp"

// Where Hugging Face checkpoints keep the tensors of their experts. A name is
//
//     PREFIX layers.LAYER. EXPERTS [.EXPERT] .PROJECTION SUFFIX
//     model. layers.3.     mlp.experts .17    .gate_proj .weight

namespace polymoe::tools {

/// How one family of models names its experts.
struct ExpertNaming {
  std::string_view model{};
  std::string_view experts{};  ///< behind "layers.LAYER."
  std::string_view gate{};     ///< per expert; or gate and up in one tensor of all experts where `up` is empty
  std::string_view up{};
  std::string_view down{};
  W13Layout fused_layout = W13Layout::concatenated;  ///< of a fused tensor
  std::string_view router{};                         ///< behind "layers.LAYER."
  std::string_view correction_bias{};
  std::string_view shared{};  ///< experts that every token passes, or empty

  constexpr bool is_fused() const { return up.empty(); }
};

inline constexpr std::array<ExpertNaming, 5> expert_namings{{
    {.model = "Mixtral",
     .experts = "block_sparse_moe.experts",
     .gate = "w1",
     .up = "w3",
     .down = "w2",
     .router = "block_sparse_moe.gate.weight",
     .correction_bias = "block_sparse_moe.e_score_correction_bias"},
    {.model = "gpt-oss",
     .experts = "mlp.experts",
     .gate = "gate_up_proj",
     .down = "down_proj",
     .fused_layout = W13Layout::interleaved,
     .router = "mlp.router.weight"},
    {.model = "Qwen3-MoE or DeepSeek-V3",
     .experts = "mlp.experts",
     .gate = "gate_proj",
     .up = "up_proj",
     .down = "down_proj",
     .router = "mlp.gate.weight",
     .correction_bias = "mlp.gate.e_score_correction_bias",
     .shared = "mlp.shared_experts"},
    {.model = "Llama-4",
     .experts = "feed_forward.experts",
     .gate = "gate_up_proj",
     .down = "down_proj",
     .router = "feed_forward.router.weight",
     .shared = "feed_forward.shared_expert"},
    {.model = "Llama-4 (one tensor an expert)",
     .experts = "feed_forward.experts",
     .gate = "gate_proj",
     .up = "up_proj",
     .down = "down_proj",
     .router = "feed_forward.router.weight",
     .shared = "feed_forward.shared_expert"},
}};

/// How one quantizing program names the tensors of a matrix. Rows are tried in order; the first whose weight is there
/// and whose `needs` is there is meant.
struct TensorNaming {
  std::string_view program{};
  std::string_view weight{};
  std::string_view needs{};  ///< a tensor that tells the row from others with the same weight; or empty
  std::string_view scale{};
  std::string_view scale_2{};
  std::string_view zeros{};
  std::string_view g_idx{};
  std::string_view input_scale{};
  bool reciprocal_scale_2 = false;  ///< scale_2 and input_scale hold reciprocals
};

inline constexpr std::array<TensorNaming, 9> tensor_namings{{
    {.program = "compressed-tensors (nvfp4)",
     .weight = ".weight_packed",
     .needs = ".weight_global_scale",
     .scale = ".weight_scale",
     .scale_2 = ".weight_global_scale",
     .input_scale = ".input_global_scale",
     .reciprocal_scale_2 = true},
    {.program = "compressed-tensors (packed)",
     .weight = ".weight_packed",
     .scale = ".weight_scale",
     .zeros = ".weight_zero_point",
     .g_idx = ".weight_g_idx"},
    {.program = "GPTQ or AWQ", .weight = ".qweight", .scale = ".scales", .zeros = ".qzeros", .g_idx = ".g_idx"},
    {.program = "ModelOpt (nvfp4)",
     .weight = ".weight",
     .needs = ".weight_scale_2",
     .scale = ".weight_scale",
     .scale_2 = ".weight_scale_2",
     .input_scale = ".input_scale"},
    {.program = "DeepSeek (fp8 blocks)",
     .weight = ".weight",
     .needs = ".weight_scale_inv",
     .scale = ".weight_scale_inv"},
    {.program = "ModelOpt or compressed-tensors",
     .weight = ".weight",
     .needs = ".weight_scale",
     .scale = ".weight_scale",
     .input_scale = ".input_scale"},
    {.program = "gpt-oss (mxfp4)", .weight = "_blocks", .scale = "_scales"},
    {.program = "not quantized", .weight = ".weight"},
    {.program = "not quantized, fused", .weight = ""},
}};

/// The experts of one layer of a checkpoint.
struct MoeLayerName {
  std::int64_t layer = 0;
  std::string prefix;  ///< up to and with "layers.LAYER."
  const ExpertNaming* naming = nullptr;
  std::int64_t num_experts = 0;  ///< 0: fused tensors know
};

namespace detail {

/// Reads a decimal number at the begin of `text` and takes it away; -1 where there is none.
inline std::int64_t take_number(std::string_view& text) {
  std::int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || text.starts_with('-')) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

inline bool take(std::string_view& text, std::string_view start) {
  if (!text.starts_with(start)) return false;
  text.remove_prefix(start.size());
  return true;
}

}  // namespace detail

/// Every MoE layer among the names of a checkpoint's tensors, in order.
inline std::vector<MoeLayerName> find_moe_layers(const std::vector<std::string>& names) {
  std::map<std::pair<std::int64_t, std::string>, MoeLayerName> found;
  for (const std::string& name : names) {
    constexpr std::string_view layers = "layers.";
    for (std::size_t at = name.find(layers); at != std::string::npos; at = name.find(layers, at + 1)) {
      if (at != 0 && name[at - 1] != '.') continue;
      std::string_view rest = std::string_view(name).substr(at + layers.size());
      const std::int64_t layer = detail::take_number(rest);
      if (layer < 0 || !detail::take(rest, ".")) continue;
      const std::string prefix = name.substr(0, name.size() - rest.size());
      for (const ExpertNaming& naming : expert_namings) {
        std::string_view tail = rest;
        if (!detail::take(tail, naming.experts) || !detail::take(tail, ".")) continue;
        std::int64_t expert = -1;
        if (!naming.is_fused()) {
          expert = detail::take_number(tail);
          if (expert < 0 || !detail::take(tail, ".")) continue;
        }
        if (!detail::take(tail, naming.gate) || !(tail.empty() || tail[0] == '.' || tail[0] == '_')) continue;
        MoeLayerName& entry = found[{layer, prefix}];
        if (entry.naming == nullptr) entry = {layer, prefix, &naming, 0};
        if (entry.naming == &naming && expert >= entry.num_experts) entry.num_experts = expert + 1;
      }
    }
  }
  std::vector<MoeLayerName> result;
  for (auto& [key, layer] : found) result.push_back(std::move(layer));
  return result;
}

}  // namespace polymoe::tools
