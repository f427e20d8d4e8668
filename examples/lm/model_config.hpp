// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "examples/support/file_error.hpp"
#include "examples/support/json_file.hpp"

namespace polymoe::lm {

/// The sizes of a Qwen3MoeForCausalLM, as its config.json names them.
struct ModelConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t num_hidden_layers = 0;
  std::int64_t num_attention_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  std::int64_t moe_intermediate_size = 0;
  std::int64_t num_experts = 0;
  std::int64_t num_experts_per_tok = 0;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  bool norm_topk_prob = true;  ///< routing "renormalize"; without it "default"
  bool tie_word_embeddings = false;

  /// Reads a config.json. Raises InputError for what is missing, is no number, or asks for what this engine lacks.
  static ModelConfig load(const std::string& path);
};

namespace detail {

class ModelConfigReader {
 public:
  explicit ModelConfigReader(const std::string& path) : path_(path), json_(tools::read_json(path)) {
    if (!json_.is_object()) tools::refuse(path_, "file", "a JSON " + std::string(json_.type_name()), "an object");
  }

  std::int64_t size(const char* key) const {
    constexpr std::int64_t most = std::int64_t{1} << 24;
    if (!json_.contains(key)) tools::refuse(path_, key, "nothing", "the key (it is required)");
    const nlohmann::json& value = json_[key];
    if (!value.is_number_integer() || value < 1 || value > most) {
      tools::refuse(path_, key, value.dump(), "an integer from 1 to " + std::to_string(most));
    }
    return value.get<std::int64_t>();
  }

  double positive(const char* key, double otherwise) const {
    if (!json_.contains(key)) return otherwise;
    const nlohmann::json& value = json_[key];
    if (!value.is_number() || !(value.get<double>() > 0)) tools::refuse(path_, key, value.dump(), "a positive number");
    return value.get<double>();
  }

  bool truth(const char* key, bool otherwise) const {
    if (!json_.contains(key)) return otherwise;
    if (!json_[key].is_boolean()) tools::refuse(path_, key, json_[key].dump(), "true or false");
    return json_[key].get<bool>();
  }

  /// A key that must be absent, null or as this engine computes.
  void only(const char* key, const nlohmann::json& supported) const {
    if (!json_.contains(key) || json_[key].is_null() || json_[key] == supported) return;
    tools::refuse(path_, key, json_[key].dump(), supported.dump());
  }

  void dividing(const char* key, std::int64_t size, const char* by, std::int64_t divisor) const {
    if (size % divisor == 0) return;
    tools::refuse(path_, key, std::to_string(size), "a multiple of " + std::string(by) + " " + std::to_string(divisor));
  }

 private:
  std::string path_;
  nlohmann::json json_;
};

}  // namespace detail

inline ModelConfig ModelConfig::load(const std::string& path) {
  const detail::ModelConfigReader reader(path);
  reader.only("model_type", "qwen3_moe");
  reader.only("hidden_act", "silu");
  reader.only("attention_bias", false);
  reader.only("use_sliding_window", false);
  reader.only("rope_scaling", nullptr);
  reader.only("decoder_sparse_step", 1);
  reader.only("mlp_only_layers", nlohmann::json::array());
  ModelConfig config;
  config.vocab_size = reader.size("vocab_size");
  config.hidden_size = reader.size("hidden_size");
  config.num_hidden_layers = reader.size("num_hidden_layers");
  config.num_attention_heads = reader.size("num_attention_heads");
  config.num_key_value_heads = reader.size("num_key_value_heads");
  config.head_dim = reader.size("head_dim");
  config.max_position_embeddings = reader.size("max_position_embeddings");
  config.moe_intermediate_size = reader.size("moe_intermediate_size");
  config.num_experts = reader.size("num_experts");
  config.num_experts_per_tok = reader.size("num_experts_per_tok");
  config.rms_norm_eps = reader.positive("rms_norm_eps", config.rms_norm_eps);
  config.rope_theta = reader.positive("rope_theta", config.rope_theta);
  config.norm_topk_prob = reader.truth("norm_topk_prob", config.norm_topk_prob);
  config.tie_word_embeddings = reader.truth("tie_word_embeddings", config.tie_word_embeddings);
  reader.dividing("num_attention_heads", config.num_attention_heads, "num_key_value_heads", config.num_key_value_heads);
  reader.dividing("head_dim", config.head_dim, "the two halves of a rotation,", 2);
  if (config.num_experts_per_tok > config.num_experts) {
    tools::refuse(path, "num_experts_per_tok", std::to_string(config.num_experts_per_tok),
                  "at most num_experts = " + std::to_string(config.num_experts));
  }
  return config;
}

}  // namespace polymoe::lm
