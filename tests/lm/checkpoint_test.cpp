// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "examples/lm/experts.hpp"
#include "examples/lm/model_config.hpp"
#include "examples/lm/transformer.hpp"
#include "examples/support/safetensors_writer.hpp"
#include "tests/support/hostile_file.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/test_data.hpp"

namespace polymoe::test {
namespace {

using lm::ModelConfig;
using tools::Checkpoint;
using tools::InputError;

class ModelFiles : public ::testing::Test {
 protected:
  std::string config_subject(const std::string& from, const std::string& to) {
    const std::string path =
        folder_.write("config.json", with(file_content(tiny_moe_folder + "/config.json"), from, to));
    const std::string message = message_of<InputError>([&] { ModelConfig::load(path); });
    return message == "accepted" ? message : subject_of(path, message);
  }

  TemporaryFolder folder_;
};

TEST_F(ModelFiles, give_the_sizes_of_the_model) {
  const ModelConfig config = ModelConfig::load(tiny_moe_folder + "/config.json");
  EXPECT_EQ(config.vocab_size, 256);
  EXPECT_EQ(config.num_hidden_layers, 3);
  EXPECT_EQ(config.num_experts_per_tok, 4);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_TRUE(config.norm_topk_prob);
  EXPECT_FALSE(config.tie_word_embeddings);
}

TEST_F(ModelFiles, with_a_config_that_this_engine_lacks_are_refused) {
  EXPECT_EQ(config_subject("", ""), "accepted");
  EXPECT_EQ(config_subject("\"hidden_size\": 256,", ""), "hidden_size");
  EXPECT_EQ(config_subject("\"hidden_size\": 256", "\"hidden_size\": \"256\""), "hidden_size");
  EXPECT_EQ(config_subject("\"hidden_size\": 256", "\"hidden_size\": -256"), "hidden_size");
  EXPECT_EQ(config_subject("\"hidden_size\": 256", "\"hidden_size\": 2.5e2"), "hidden_size");
  EXPECT_EQ(config_subject("\"hidden_size\": 256", "\"hidden_size\": 18446744073709551616"), "hidden_size");
  EXPECT_EQ(config_subject("\"hidden_size\": 256", "\"hidden_size\": 256, \"hidden_size\": 256"), "hidden_size");
  EXPECT_EQ(config_subject("\"num_experts_per_tok\": 4", "\"num_experts_per_tok\": 17"), "num_experts_per_tok");
  EXPECT_EQ(config_subject("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"), "num_attention_heads");
  EXPECT_EQ(config_subject("\"head_dim\": 64", "\"head_dim\": 63"), "head_dim");
  EXPECT_EQ(config_subject("\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"yarn\"}"), "rope_scaling");
  EXPECT_EQ(config_subject("\"attention_bias\": false", "\"attention_bias\": true"), "attention_bias");
  EXPECT_EQ(config_subject("\"mlp_only_layers\": []", "\"mlp_only_layers\": [0]"), "mlp_only_layers");
  EXPECT_EQ(config_subject("\"model_type\": \"qwen3_moe\"", "\"model_type\": \"mixtral\""), "model_type");
  EXPECT_EQ(config_subject("\"norm_topk_prob\": true", "\"norm_topk_prob\": 1"), "norm_topk_prob");
  EXPECT_EQ(config_subject("\"rms_norm_eps\": 1e-06", "\"rms_norm_eps\": 0"), "rms_norm_eps");
  EXPECT_EQ(config_subject("{", "["), "file");
}

TEST_F(ModelFiles, hold_experts_that_are_gathered_into_one_tensor_for_each_product) {
  const Checkpoint checkpoint = Checkpoint::open(tiny_moe_folder);
  const ModelConfig config = ModelConfig::load(tiny_moe_folder + "/config.json");
  const lm::ExpertWeights experts = lm::gather_experts(checkpoint, config, 2);
  const TensorView& w13 = experts.checkpoint.w13.weight;
  const TensorView& w2 = experts.checkpoint.w2.weight;
  EXPECT_EQ(w13.shape, (std::array<std::int64_t, 4>{16, 256, 256, 0}));
  EXPECT_EQ(w2.shape, (std::array<std::int64_t, 4>{16, 256, 128, 0}));
  EXPECT_EQ(w13.dtype, DType::bf16);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w13.data) % 64, 0U);
  const std::size_t bytes = 2 * 128 * 256;
  for (std::size_t e = 0; e < 16; ++e) {
    const auto part = [&](const char* name) {
      return checkpoint.view("model.layers.2.mlp.experts." + std::to_string(e) + name).data;
    };
    EXPECT_EQ(0, std::memcmp(w13.data + 2 * e * bytes, part(".gate_proj.weight"), bytes));
    EXPECT_EQ(0, std::memcmp(w13.data + (2 * e + 1) * bytes, part(".up_proj.weight"), bytes));
    EXPECT_EQ(0, std::memcmp(w2.data + e * bytes, part(".down_proj.weight"), bytes));
  }
}

/// Writes the trained model again, with a change: an empty TensorView leaves the tensor out.
template <class Change>
std::string copy_with(const TemporaryFolder& folder, Change&& change) {
  const Checkpoint checkpoint = Checkpoint::open(tiny_moe_folder);
  std::vector<tools::NamedTensor> tensors;
  for (const std::string& name : checkpoint.names()) {
    const TensorView view = change(name, checkpoint.view(name));
    if (view.present()) tensors.push_back({name, view});
  }
  tools::write_safetensors(folder / "model.safetensors", {}, tensors);
  return folder / "model.safetensors";
}

TEST_F(ModelFiles, with_a_tensor_missing_or_bent_are_refused_by_its_name) {
  const ModelConfig config = ModelConfig::load(tiny_moe_folder + "/config.json");
  const auto load = [&](const std::string& path) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    const lm::Transformer model(checkpoint, config);
    for (std::int64_t n = 0; n < config.num_hidden_layers; ++n) lm::gather_experts(checkpoint, config, n);
  };
  for (const std::string name : {"lm_head.weight", "model.norm.weight", "model.layers.1.self_attn.k_norm.weight",
                                 "model.layers.2.mlp.gate.weight", "model.layers.0.mlp.experts.15.down_proj.weight",
                                 "model.layers.1.mlp.experts.3.up_proj.weight"}) {
    const std::string path = copy_with(
        folder_, [&](const std::string& each, TensorView view) { return each == name ? TensorView{} : view; });
    EXPECT_EQ(subject_of(path, message_of<InputError>([&] { load(path); })), name);

    copy_with(folder_, [&](const std::string& each, TensorView view) {
      if (each == name) --view.shape[0];
      return view;
    });
    EXPECT_EQ(subject_of(path, message_of<InputError>([&] { load(path); })), name) << "with a row less";

    copy_with(folder_, [&](const std::string& each, TensorView view) {
      if (each == name) view.dtype = view.rank == 2 && name.find("experts") != name.npos ? DType::f16 : DType::u8;
      if (view.dtype == DType::u8) view.shape[0] *= 2;
      return view;
    });
    EXPECT_EQ(subject_of(path, message_of<InputError>([&] { load(path); })), name) << "of another type";
  }
}

}  // namespace
}  // namespace polymoe::test
