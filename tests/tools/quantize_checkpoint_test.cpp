// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>

#include "examples/polymoe_quantize/converter.hpp"
#include "examples/support/moe_layer_loader.hpp"
#include "examples/support/safetensors_writer.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quantize/weights.hpp"
#include "tests/support/random_checkpoint.hpp"
#include "tests/support/temporary_folder.hpp"

namespace polymoe::test {
namespace {

constexpr std::int64_t experts = 2;
constexpr std::int64_t hidden = 128;
constexpr std::int64_t intermediate = 128;

/// Two MoE layers of a bf16 model in a folder, with a tensor that is not an expert's.
struct Model {
  TemporaryFolder folder;

  explicit Model(bool fused = false) {
    std::mt19937 random(5);
    std::normal_distribution<float> distribution(0.0F, 0.02F);
    TensorStore store;
    const auto normal = [&](std::initializer_list<std::int64_t> shape) {
      return store.filled<bf16>(DType::bf16, shape, [&](std::int64_t) { return bf16(distribution(random)); });
    };
    std::vector<tools::NamedTensor> tensors{{"model.norm.weight", normal({hidden})}};
    for (const char* const layer : {"model.layers.0.", "model.layers.1."}) {
      if (fused) {
        tensors.push_back(
            {layer + std::string("feed_forward.experts.gate_up_proj"), normal({experts, hidden, 2 * intermediate})});
        tensors.push_back(
            {layer + std::string("feed_forward.experts.down_proj"), normal({experts, intermediate, hidden})});
        continue;
      }
      for (std::int64_t e = 0; e < experts; ++e) {
        const std::string stem = layer + ("mlp.experts." + std::to_string(e));
        tensors.push_back({stem + ".gate_proj.weight", normal({intermediate, hidden})});
        tensors.push_back({stem + ".up_proj.weight", normal({intermediate, hidden})});
        tensors.push_back({stem + ".down_proj.weight", normal({hidden, intermediate})});
      }
    }
    tools::write_safetensors(folder / "model.safetensors", {}, tensors);
  }
};

/// Both checkpoints stand for the same weights.
void expect_same_weights(const MoECheckpoint& a, const MoECheckpoint& b, const QuantKey& key) {
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto compare = [&](const ProjectionTensors& left, const ProjectionTensors& right, std::int64_t rows,
                             std::int64_t columns) {
      const quant::WeightMatrix have = quant::weight_matrix(a, left, key, e, rows, columns);
      const quant::WeightMatrix want = quant::weight_matrix(b, right, key, e, rows, columns);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) ASSERT_EQ(have.value(r, c), want.value(r, c)) << e << " " << r;
      }
    };
    compare(a.w13, b.w13, 2 * intermediate, hidden);
    compare(a.w2, b.w2, hidden, intermediate);
  }
}

TEST(QuantizeCheckpoint, gives_the_weights_that_quantizing_at_load_gives) {
  SerialExecutor serial;
  for (const bool fused : {false, true}) {
    const Model model(fused);
    const tools::Checkpoint source = tools::Checkpoint::open(model.folder.path());
    for (const quant::NamedScheme& scheme : quant::named_schemes) {
      if (scheme.weight.is_none()) continue;
      const std::string path = model.folder / (std::string(scheme.name) + ".safetensors");
      int calls = 0;
      tools::CheckpointConverter converter(source, quant::weight_format(scheme, quant::ScaleSearch::none));
      converter.convert(path, scheme.name, serial, [&](std::size_t, std::int64_t, std::int64_t) { ++calls; });
      EXPECT_EQ(calls, 4);

      const tools::Checkpoint converted = tools::Checkpoint::open(path);
      EXPECT_TRUE(converted.contains("model.norm.weight"));
      const auto layers = tools::find_moe_layers(converted.names());
      const auto source_layers = tools::find_moe_layers(source.names());
      ASSERT_EQ(layers.size(), 2U);
      for (std::size_t i = 0; i < 2; ++i) {
        const tools::LoadedExperts loaded = tools::load_experts(converted, layers[i]);
        const tools::LoadedExperts original = tools::load_experts(source, source_layers[i]);
        const quant::QuantizedCheckpoint expected = quant::quantize_weights(
            original.checkpoint, quant::weight_format(scheme, quant::ScaleSearch::none), serial);
        ASSERT_EQ(loaded.weight_key, scheme.weight) << scheme.name;
        expect_same_weights(loaded.checkpoint, expected.view(), scheme.weight);
      }
    }
  }
}

TEST(QuantizeCheckpoint, writes_every_pack_format_with_zero_points) {
  SerialExecutor serial;
  const Model model;
  const tools::Checkpoint source = tools::Checkpoint::open(model.folder.path());
  for (const PackFormat pack : {PackFormat::compressed_tensors, PackFormat::gptq, PackFormat::awq}) {
    const bool zeros = pack != PackFormat::gptq;
    const quant::WeightFormat format{.key = quant_key::int4_static_group,
                                     .group_size = 32,
                                     .zero_points = zeros,
                                     .scale_dtype = DType::f16,
                                     .pack_format = pack};
    const std::string path = model.folder / (std::string(name(pack)) + ".safetensors");
    tools::CheckpointConverter(source, format).convert(path, "int4_g32", serial, [](auto...) {});
    const tools::Checkpoint converted = tools::Checkpoint::open(path);
    const tools::LoadedExperts loaded = tools::load_experts(converted, tools::find_moe_layers(converted.names()).at(1));
    const tools::LoadedExperts original = tools::load_experts(source, tools::find_moe_layers(source.names()).at(1));
    const quant::QuantizedCheckpoint expected = quant::quantize_weights(original.checkpoint, format, serial);
    EXPECT_EQ(loaded.checkpoint.pack_format, pack);
    EXPECT_EQ(loaded.checkpoint.w13.zero_point.present(), zeros);
    static_cast<void>(quant::make_quant_config<quant::IntWna16<4, 32>>(loaded.checkpoint));
    expect_same_weights(loaded.checkpoint, expected.view(), format.key);
  }
}

TEST(QuantizeCheckpoint, converts_what_is_quantized_already) {
  SerialExecutor serial;
  const Model model;
  const tools::Checkpoint source = tools::Checkpoint::open(model.folder.path());
  const std::string fp8 = model.folder / "fp8.safetensors";
  const std::string int4 = model.folder / "int4.safetensors";
  tools::CheckpointConverter(source, {.key = quant_key::fp8_static_block128}).convert(fp8, "fp8", serial, [](auto...) {
  });
  const tools::Checkpoint middle = tools::Checkpoint::open(fp8);
  tools::CheckpointConverter(middle, {.key = quant_key::int4_static_group, .group_size = 32})
      .convert(int4, "int4", serial, [](auto...) {});
  const tools::Checkpoint last = tools::Checkpoint::open(int4);
  EXPECT_EQ(tools::load_experts(last, tools::find_moe_layers(last.names()).at(0)).weight_key,
            quant_key::int4_static_group);
}

TEST(QuantizeCheckpoint, refuses_a_checkpoint_without_experts) {
  const TemporaryFolder folder;
  TensorStore store;
  tools::write_safetensors(folder / "model.safetensors", {}, {{"x", store.zeros(DType::f32, {2})}});
  const tools::Checkpoint source = tools::Checkpoint::open(folder.path());
  EXPECT_THROW(tools::CheckpointConverter(source, {.key = quant_key::mxfp4_static}), tools::InputError);
}

}  // namespace
}  // namespace polymoe::test
