// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/support/moe_layer_loader.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "examples/support/safetensors_writer.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/quantize/weights.hpp"
#include "tests/support/random_checkpoint.hpp"
#include "tests/support/temporary_folder.hpp"

// Small checkpoints with the names and layouts of real ones; what is loaded must stand for the same weights.

namespace polymoe::test {
namespace {

using quant::ScaleSearch;
using quant::WeightFormat;
using quant::WeightMatrix;
using tools::LoadedExperts;
using tools::MoeLayerName;

constexpr std::int64_t experts = 3;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t intermediate = 128;

/// A checkpoint that is being written, with the weights that its experts stand for.
class Synthetic {
 public:
  TensorStore store;
  std::vector<tools::NamedTensor> tensors;

  void add(const std::string& name, const TensorView& view) { tensors.push_back({name, view}); }

  TensorView normal(std::int64_t rows, std::int64_t columns, float scale = 0.02F) {
    std::normal_distribution<float> distribution(0.0F, scale);
    return store.filled<bf16>(DType::bf16, {rows, columns}, [&](std::int64_t) { return bf16(distribution(random_)); });
  }

  /// One matrix, quantized by itself: tensors without the dimension of experts.
  ProjectionTensors quantized(const TensorView& weights, const WeightFormat& format) {
    SerialExecutor serial;
    auto& projection = projections_.emplace_back(format, 1, weights.shape[0], weights.shape[1], false);
    projection.quantize_expert(0, weights, W13Layout::concatenated, serial);
    return quant::expert_slice(projection.tensors(), 0);
  }

  /// Remembers the weights that a matrix stands for.
  void expect(const ProjectionTensors& matrix_tensors, const WeightFormat& format, std::int64_t rows,
              std::int64_t columns) {
    MoECheckpoint checkpoint;
    checkpoint.pack_format = format.pack_format;
    ProjectionTensors with_experts = matrix_tensors;
    for (TensorView* const view : {&with_experts.weight, &with_experts.weight_scale, &with_experts.weight_scale_2,
                                   &with_experts.zero_point, &with_experts.g_idx}) {
      if (!view->present()) continue;
      for (std::size_t i = 3; i > 0; --i) view->shape[i] = view->shape[i - 1];
      view->shape[0] = 1;
      ++view->rank;
    }
    const WeightMatrix matrix = quant::weight_matrix(checkpoint, with_experts, format.key, 0, rows, columns);
    for (std::int64_t r = 0; r < rows; ++r) {
      auto& row = expected_.emplace_back();
      for (std::int64_t c = 0; c < columns; ++c) row.push_back(matrix.value(r, c));
    }
  }

  /// The rows that expect() was told, in that order.
  const std::vector<std::vector<double>>& expected() const { return expected_; }

  tools::Checkpoint written(const TemporaryFolder& folder, std::size_t shards = 1) const {
    if (shards == 1) {
      tools::write_safetensors(folder / "model.safetensors", {}, tensors);
      return tools::Checkpoint::open(folder.path());
    }
    std::string index;
    for (std::size_t s = 0; s < shards; ++s) {
      const std::string file = "model-" + std::to_string(s) + ".safetensors";
      std::vector<tools::NamedTensor> part;
      for (std::size_t i = s; i < tensors.size(); i += shards) {
        part.push_back(tensors[i]);
        index += (index.empty() ? "" : ",") + ("\"" + tensors[i].name + "\":\"" + file + "\"");
      }
      tools::write_safetensors(folder / file, {}, part);
    }
    folder.write("model.safetensors.index.json", "{\"metadata\":{},\"weight_map\":{" + index + "}}");
    return tools::Checkpoint::open(folder.path());
  }

 private:
  std::mt19937 random_{11};
  std::deque<quant::QuantizedProjection> projections_;
  std::vector<std::vector<double>> expected_;
};

/// Compares with gate rows, up rows and down rows of expert 0, then of expert 1, ...
void expect_same_weights(const LoadedExperts& loaded, const Synthetic& synthetic, double tolerance = 0.0) {
  std::size_t at = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    const auto compare = [&](const ProjectionTensors& tensors, std::int64_t rows, std::int64_t columns) {
      const WeightMatrix matrix = quant::weight_matrix(loaded.checkpoint, tensors, loaded.weight_key, e, rows, columns);
      const bool gated = rows == 2 * intermediate;
      for (std::int64_t r = 0; r < rows; ++r, ++at) {
        const std::int64_t stored =
            gated ? w13_row(loaded.checkpoint.w13_layout, r % intermediate, r >= intermediate, intermediate) : r;
        for (std::int64_t c = 0; c < columns; ++c) {
          const double want = synthetic.expected()[at][static_cast<std::size_t>(c)];
          ASSERT_NEAR(matrix.value(stored, c), want, tolerance * std::fabs(want)) << e << " " << r << " " << c;
        }
      }
    };
    compare(loaded.checkpoint.w13, 2 * intermediate, hidden);
    compare(loaded.checkpoint.w2, hidden, intermediate);
  }
}

/// Calls write(stem, weights, rows, columns) for gate, up and down of every expert.
template <class Write>
void for_each_matrix(Synthetic& synthetic, const std::string& stem, std::array<const char*, 3> names, Write&& write) {
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::int64_t rows = i < 2 ? intermediate : hidden;
      const std::int64_t columns = i < 2 ? hidden : intermediate;
      write(stem + std::to_string(e) + "." + names[i], synthetic.normal(rows, columns), rows, columns);
    }
  }
}

constexpr std::array<const char*, 3> w123{"w1", "w3", "w2"};
constexpr std::array<const char*, 3> projections{"gate_proj", "up_proj", "down_proj"};

LoadedExperts load_only_layer(const tools::Checkpoint& checkpoint, const tools::LoadOptions& options = {}) {
  const std::vector<MoeLayerName> layers = tools::find_moe_layers(checkpoint.names());
  EXPECT_EQ(layers.size(), 1U);
  return tools::load_experts(checkpoint, layers.at(0), options);
}

template <quant::Scheme S>
void expect_accepted(const LoadedExperts& loaded) {
  EXPECT_NO_THROW(static_cast<void>(quant::make_quant_config<S>(loaded.checkpoint)));
  EXPECT_EQ(loaded.weight_key, S::keys.weight);
}

TensorView reshaped(TensorView view, std::initializer_list<std::int64_t> shape) {
  view.rank = 0;
  for (const std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
  return view;
}

TEST(CheckpointNames, finds_layers_of_every_family_and_nothing_else) {
  const std::vector<std::string> names{"model.embed_tokens.weight",
                                       "model.layers.0.mlp.gate_proj.weight",
                                       "model.layers.0.mlp.experts.x.gate_proj.weight",
                                       "model.layers.1.mlp.experts.0.gate_proj.weight",
                                       "model.layers.1.mlp.experts.11.gate_proj.qweight",
                                       "model.layers.1.mlp.shared_experts.gate_proj.weight",
                                       "model.layers.2.block_sparse_moe.experts.1.w1.weight",
                                       "model.layers.3.mlp.experts.gate_up_proj_blocks",
                                       "language_model.model.layers.4.feed_forward.experts.gate_up_proj",
                                       "language_model.model.layers.10.feed_forward.experts.7.gate_proj.weight",
                                       "model.layers.-5.mlp.experts.0.gate_proj.weight",
                                       "model.mylayers.6.mlp.experts.0.gate_proj.weight"};
  const std::vector<MoeLayerName> layers = tools::find_moe_layers(names);
  ASSERT_EQ(layers.size(), 5U);
  EXPECT_EQ(layers[0].prefix, "model.layers.1.");
  EXPECT_EQ(layers[0].num_experts, 12);
  EXPECT_EQ(layers[1].naming->model, "Mixtral");
  EXPECT_EQ(layers[2].naming->model, "gpt-oss");
  EXPECT_EQ(layers[3].naming->model, "Llama-4");
  EXPECT_EQ(layers[4].prefix, "language_model.model.layers.10.");
}

TEST(MoeLayerLoader, reads_mixtral_in_bf16_from_shards_with_an_index) {
  const TemporaryFolder folder;
  Synthetic synthetic;
  for_each_matrix(synthetic, "model.layers.5.block_sparse_moe.experts.", w123,
                  [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
                    synthetic.add(stem + ".weight", weights);
                    synthetic.expect({.weight = weights}, {}, rows, columns);
                  });
  synthetic.add("model.layers.5.block_sparse_moe.gate.weight", synthetic.normal(experts, hidden));
  const tools::Checkpoint checkpoint = synthetic.written(folder, 3);
  const LoadedExperts loaded = load_only_layer(checkpoint);
  expect_accepted<quant::Unquantized>(loaded);
  expect_same_weights(loaded, synthetic);
}

TEST(MoeLayerLoader, reads_deepseek_v3_in_fp8_blocks_with_its_shared_experts) {
  const TemporaryFolder folder;
  Synthetic synthetic;
  const WeightFormat format{.key = quant_key::fp8_static_block128};
  const auto add = [&](const std::string& stem, const TensorView& weights) {
    const ProjectionTensors tensors = synthetic.quantized(weights, format);
    synthetic.add(stem + ".weight", tensors.weight);
    synthetic.add(stem + ".weight_scale_inv", tensors.weight_scale);
    return tensors;
  };
  for_each_matrix(synthetic, "model.layers.3.mlp.experts.", projections,
                  [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
                    synthetic.expect(add(stem, weights), format, rows, columns);
                  });
  add("model.layers.3.mlp.shared_experts.gate_proj", synthetic.normal(intermediate, hidden));
  add("model.layers.3.mlp.shared_experts.up_proj", synthetic.normal(intermediate, hidden));
  add("model.layers.3.mlp.shared_experts.down_proj", synthetic.normal(hidden, intermediate));
  const tools::Checkpoint checkpoint = synthetic.written(folder);
  const LoadedExperts loaded = load_only_layer(checkpoint);
  expect_accepted<quant::Fp8Block128>(loaded);
  expect_same_weights(loaded, synthetic);
  EXPECT_EQ(loaded.usual_activation(), quant_key::fp8_dynamic_group128);

  const MoeLayerName layer = tools::find_moe_layers(checkpoint.names()).at(0);
  tools::MoeLayerLoader shared(checkpoint, layer);
  ASSERT_TRUE(shared.has_shared());
  const LoadedExperts one = std::move(shared).load_shared();
  EXPECT_EQ(quant::checkpoint_shape<quant::Fp8Block128>(one.checkpoint).num_local_experts, 1);
}

TEST(MoeLayerLoader, reads_fp8_of_channels_and_tensors_and_int8_as_compressed_tensors_and_modelopt_write_them) {
  const auto check = [&]<quant::Scheme S>(bool column, bool scalar, bool input_scale) {
    const TemporaryFolder folder;
    Synthetic synthetic;
    const WeightFormat format{.key = S::keys.weight};
    for_each_matrix(synthetic, "model.layers.0.mlp.experts.", projections,
                    [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
                      const ProjectionTensors tensors = synthetic.quantized(weights, format);
                      synthetic.add(stem + ".weight", tensors.weight);
                      const TensorView& scale = tensors.weight_scale;
                      synthetic.add(stem + ".weight_scale", column            ? reshaped(scale, {rows, 1})
                                                            : scalar          ? reshaped(scale, {})
                                                            : scale.rank == 2 ? scale
                                                                              : reshaped(scale, {scale.count()}));
                      if (input_scale) {
                        const auto value = static_cast<float>(synthetic.tensors.size());
                        synthetic.add(stem + ".input_scale",
                                      synthetic.store.filled<float>(DType::f32, {1}, [&](auto) { return value; }));
                      }
                      synthetic.expect(tensors, format, rows, columns);
                    });
    const tools::Checkpoint checkpoint = synthetic.written(folder);
    const LoadedExperts loaded = load_only_layer(checkpoint);
    expect_accepted<S>(loaded);
    expect_same_weights(loaded, synthetic);
    if (input_scale) {
      EXPECT_EQ(loaded.usual_activation(), quant_key::fp8_static_tensor);
      const QuantConfig config = quant::make_quant_config<quant::Fp8TensorStaticFaithful>(loaded.checkpoint);
      EXPECT_EQ(config.w13_input_scale, 23.0F);  // of the last expert's up_proj
      EXPECT_EQ(config.w2_input_scale, 26.0F);
    }
  };
  check.operator()<quant::Fp8Channel>(true, false, false);
  check.operator()<quant::Fp8Channel>(false, false, false);
  check.operator()<quant::Fp8Tensor>(false, true, false);
  check.operator()<quant::Fp8Tensor>(false, false, true);
  check.operator()<quant::Int8Channel>(true, false, false);
  check.operator()<quant::Mxfp8A16>(false, false, false);
}

TEST(MoeLayerLoader, reads_both_conventions_of_nvfp4) {
  for (const bool reciprocal : {false, true}) {
    const TemporaryFolder folder;
    Synthetic synthetic;
    const WeightFormat format{.key = quant_key::nvfp4_static};
    for_each_matrix(synthetic, "model.layers.0.mlp.experts.", projections,
                    [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
                      const ProjectionTensors tensors = synthetic.quantized(weights, format);
                      const float global = load_element<float>(tensors.weight_scale_2.data, 0);
                      const auto number = [&](float value) {
                        return synthetic.store.filled<float>(DType::f32, {1}, [&](auto) { return value; });
                      };
                      synthetic.add(stem + ".weight_scale", tensors.weight_scale);
                      if (reciprocal) {
                        synthetic.add(stem + ".weight_packed", tensors.weight);
                        synthetic.add(stem + ".weight_global_scale", number(1.0F / global));
                        synthetic.add(stem + ".input_global_scale", number(4.0F));
                      } else {
                        synthetic.add(stem + ".weight", tensors.weight);
                        synthetic.add(stem + ".weight_scale_2", reshaped(tensors.weight_scale_2, {}));
                        synthetic.add(stem + ".input_scale", number(0.25F));
                      }
                      synthetic.expect(tensors, format, rows, columns);
                    });
    const tools::Checkpoint checkpoint = synthetic.written(folder);
    const LoadedExperts loaded = load_only_layer(checkpoint);
    expect_accepted<quant::NvFp4Faithful>(loaded);
    expect_same_weights(loaded, synthetic, reciprocal ? 2e-7 : 0.0);
    EXPECT_EQ(quant::make_quant_config<quant::NvFp4Faithful>(loaded.checkpoint).w13_input_scale, 0.25F);
    EXPECT_EQ(loaded.usual_activation(), quant_key::nvfp4_dynamic);
  }
}

/// Zero points in words, as the programs pack them.
TensorView packed_zero_points(Synthetic& synthetic, const TensorView& zeros, PackFormat format, int bits, int less) {
  const std::int64_t rows = zeros.shape[0];
  const std::int64_t columns = zeros.shape[1];
  const std::int64_t in_word = 32 / bits;
  const bool packs_rows = format == PackFormat::compressed_tensors;
  constexpr int awq_order[]{0, 2, 4, 6, 1, 3, 5, 7};
  const std::int64_t words = (packs_rows ? rows : columns) / in_word;
  const auto word = [&](std::int64_t i) {
    std::uint32_t result = 0;
    for (std::int64_t j = 0; j < in_word; ++j) {
      const std::int64_t offset = format == PackFormat::awq ? awq_order[j] : j;
      const std::int64_t index = packs_rows ? (i / columns * in_word + offset) * columns + i % columns
                                            : i / words * columns + i % words * in_word + offset;
      const int code = load_element<std::uint8_t>(zeros.data, index) - less;
      result |= static_cast<std::uint32_t>(code) << (bits * j);
    }
    return result;
  };
  return packs_rows ? synthetic.store.filled<std::uint32_t>(DType::i32, {words, columns}, word)
                    : synthetic.store.filled<std::uint32_t>(DType::i32, {rows, words}, word);
}

TEST(MoeLayerLoader, reads_integers_in_groups_as_compressed_tensors_gptq_and_awq_write_them) {
  for (const PackFormat pack : {PackFormat::compressed_tensors, PackFormat::gptq, PackFormat::awq}) {
    for (const int bits : {4, 8}) {
      for (const bool zeros : {false, true}) {
        if (pack == PackFormat::awq && (bits == 8 || !zeros)) continue;
        const TemporaryFolder folder;
        Synthetic synthetic;
        const WeightFormat format{.key = bits == 4 ? quant_key::int4_static_group : quant_key::int8_static_group,
                                  .group_size = 64,
                                  .zero_points = zeros,
                                  .scale_dtype = DType::f16,
                                  .pack_format = pack};
        for_each_matrix(
            synthetic, "model.layers.7.mlp.experts.", projections,
            [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
              const ProjectionTensors tensors = synthetic.quantized(weights, format);
              const bool plain = pack == PackFormat::compressed_tensors;
              synthetic.add(stem + (plain ? ".weight_packed" : ".qweight"), tensors.weight);
              synthetic.add(stem + (plain ? ".weight_scale" : ".scales"), tensors.weight_scale);
              TensorView codes = tensors.zero_point;
              if (!zeros && pack == PackFormat::gptq) {  // GPTQ always writes some
                codes = synthetic.store.filled<std::uint8_t>(
                    DType::u8, {columns / 64, rows}, [&](auto) { return static_cast<std::uint8_t>(1 << (bits - 1)); });
              }
              if (codes.present()) {
                synthetic.add(stem + (plain ? ".weight_zero_point" : ".qzeros"),
                              packed_zero_points(synthetic, codes, pack, bits, pack == PackFormat::gptq ? 1 : 0));
              }
              if (pack == PackFormat::gptq) {
                synthetic.add(stem + ".g_idx", synthetic.store.filled<std::int32_t>(DType::i32, {columns}, [](auto k) {
                  return static_cast<std::int32_t>(k / 64);
                }));
              }
              synthetic.expect(tensors, format, rows, columns);
            });
        const tools::Checkpoint checkpoint = synthetic.written(folder, 2);
        const LoadedExperts loaded = load_only_layer(checkpoint);
        EXPECT_EQ(loaded.checkpoint.pack_format, pack);
        EXPECT_EQ(loaded.checkpoint.w13.zero_point.present(), zeros);
        EXPECT_FALSE(loaded.checkpoint.w13.g_idx.present()) << "groups are in order";
        if (bits == 4) {
          expect_accepted<quant::IntWna16<4, 64>>(loaded);
        } else {
          expect_accepted<quant::IntWna16<8>>(loaded);
        }
        expect_same_weights(loaded, synthetic);
      }
    }
  }
}

TEST(MoeLayerLoader, keeps_the_order_of_desc_act) {
  const TemporaryFolder folder;
  Synthetic synthetic;
  const WeightFormat format{.key = quant_key::int4_static_group,
                            .group_size = 32,
                            .scale_dtype = DType::f16,
                            .pack_format = PackFormat::gptq};
  for_each_matrix(synthetic, "model.layers.0.mlp.experts.", projections,
                  [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
                    ProjectionTensors tensors = synthetic.quantized(weights, format);
                    tensors.g_idx = synthetic.store.filled<std::int32_t>(DType::i32, {columns}, [&](std::int64_t k) {
                      return static_cast<std::int32_t>(k * 7 % (columns / 32));
                    });
                    synthetic.add(stem + ".qweight", tensors.weight);
                    synthetic.add(stem + ".scales", tensors.weight_scale);
                    synthetic.add(stem + ".g_idx", tensors.g_idx);
                    synthetic.expect(tensors, format, rows, columns);
                  });
  const tools::Checkpoint checkpoint = synthetic.written(folder);
  const LoadedExperts loaded = load_only_layer(checkpoint);
  ASSERT_TRUE(loaded.checkpoint.w13.g_idx.present());
  expect_accepted<quant::IntWna16<4>>(loaded);
  expect_same_weights(loaded, synthetic);
}

TEST(MoeLayerLoader, reads_gpt_oss_with_interleaved_rows_and_biases) {
  const TemporaryFolder folder;
  Synthetic synthetic;
  const std::string stem = "model.layers.0.mlp.experts.";
  TensorStore& store = synthetic.store;
  synthetic.add(stem + "gate_up_proj_blocks",
                store.random_bytes(DType::u8, {experts, 2 * intermediate, hidden / 32, 16}));
  synthetic.add(stem + "down_proj_blocks", store.random_bytes(DType::u8, {experts, hidden, intermediate / 32, 16}));
  const auto exponent = [](std::int64_t i) { return static_cast<std::uint8_t>(120 + i % 9); };
  synthetic.add(stem + "gate_up_proj_scales",
                store.filled<std::uint8_t>(DType::u8, {experts, 2 * intermediate, hidden / 32}, exponent));
  synthetic.add(stem + "down_proj_scales",
                store.filled<std::uint8_t>(DType::u8, {experts, hidden, intermediate / 32}, exponent));
  const auto bias = [](std::int64_t i) { return bf16(static_cast<float>(i % 128)); };
  synthetic.add(stem + "gate_up_proj_bias", store.filled<bf16>(DType::bf16, {experts, 2 * intermediate}, bias));
  synthetic.add(stem + "down_proj_bias", store.filled<bf16>(DType::bf16, {experts, hidden}, bias));
  const tools::Checkpoint checkpoint = synthetic.written(folder);
  const LoadedExperts loaded = load_only_layer(checkpoint);
  EXPECT_EQ(loaded.checkpoint.w13_layout, W13Layout::interleaved);
  expect_accepted<quant::Mxfp4>(loaded);
  const LayerShape shape = quant::checkpoint_shape<quant::Mxfp4>(loaded.checkpoint);
  EXPECT_EQ(shape.intermediate_size, intermediate);
  const auto expert = quant::expert_checkpoint<quant::Mxfp4>(loaded.checkpoint, 2, shape);
  const std::int64_t row = 2 * 17 + 1;  // up 17
  EXPECT_EQ(expert.up_row(17, intermediate), row);
  EXPECT_EQ(expert.w13.bias(row), static_cast<float>(bias(2 * 2 * intermediate + row)));
  const TensorView blocks = checkpoint.view(stem + "gate_up_proj_blocks");
  const std::int64_t column = 75;  // block 2, element 11: the upper nibble of byte 5
  const auto byte = std::to_integer<unsigned>(
      blocks.data[((2 * 2 * intermediate + row) * (hidden / 32) + column / 32) * 16 + column % 32 / 2]);
  const double scale = std::ldexp(1.0, exponent((2 * 2 * intermediate + row) * (hidden / 32) + column / 32) - 127);
  EXPECT_EQ(expert.w13.value(row, column),
            static_cast<double>(e2m1_decode(static_cast<std::uint8_t>(byte >> 4))) * scale);
}

TEST(MoeLayerLoader, turns_llama_4s_fused_tensors_around) {
  const TemporaryFolder folder;
  Synthetic synthetic;
  const std::string stem = "language_model.model.layers.1.feed_forward.experts.";
  const auto number = [](std::int64_t i) { return bf16(static_cast<float>(i % 251)); };
  synthetic.add(stem + "gate_up_proj",
                synthetic.store.filled<bf16>(DType::bf16, {experts, hidden, 2 * intermediate}, number));
  synthetic.add(stem + "down_proj", synthetic.store.filled<bf16>(DType::bf16, {experts, intermediate, hidden}, number));
  const tools::Checkpoint checkpoint = synthetic.written(folder);
  const LoadedExperts loaded = load_only_layer(checkpoint);
  expect_accepted<quant::Unquantized>(loaded);
  EXPECT_EQ(loaded.checkpoint.w13_layout, W13Layout::concatenated);
  const LayerShape shape = quant::checkpoint_shape<quant::Unquantized>(loaded.checkpoint);
  const auto expert = quant::expert_checkpoint<quant::Unquantized>(loaded.checkpoint, 1, shape);
  EXPECT_EQ(expert.w13.value(200, 99),
            static_cast<double>((hidden * 2 * intermediate + 99 * 2 * intermediate + 200) % 251));
  EXPECT_EQ(expert.w2.value(99, 100), static_cast<double>((hidden * intermediate + 100 * hidden + 99) % 251));
}

TEST(MoeLayerLoader, names_what_is_missing_or_does_not_fit) {
  const auto message = [](const std::function<void(Synthetic&)>& spoil) {
    const TemporaryFolder folder;
    Synthetic synthetic;
    const WeightFormat format{.key = quant_key::fp8_static_block128};
    for_each_matrix(synthetic, "model.layers.0.mlp.experts.", projections,
                    [&](const std::string& stem, const TensorView& weights, std::int64_t, std::int64_t) {
                      const ProjectionTensors tensors = synthetic.quantized(weights, format);
                      synthetic.add(stem + ".weight", tensors.weight);
                      synthetic.add(stem + ".weight_scale_inv", tensors.weight_scale);
                    });
    spoil(synthetic);
    const tools::Checkpoint checkpoint = synthetic.written(folder);
    try {
      static_cast<void>(load_only_layer(checkpoint));
    } catch (const tools::InputError& error) {
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  const auto erase = [](const std::string& name) {
    return [name](Synthetic& s) { std::erase_if(s.tensors, [&](const auto& tensor) { return tensor.name == name; }); };
  };
  EXPECT_EQ(message([](Synthetic&) {}), "accepted");
  EXPECT_NE(message(erase("model.layers.0.mlp.experts.1.up_proj.weight")).find("experts.1.up_proj: found no weight"),
            std::string::npos);
  EXPECT_NE(
      message(erase("model.layers.0.mlp.experts.1.gate_proj.weight")).find("experts.1.gate_proj: found no weight"),
      std::string::npos);
  EXPECT_NE(
      message([](Synthetic& s) {
        for (auto& tensor : s.tensors) {
          if (tensor.name == "model.layers.0.mlp.experts.2.down_proj.weight") {
            tensor.view = reshaped(tensor.view, {intermediate, hidden});
          }
        }
      }).find("experts.2.down_proj: found F8_E4M3 [128, 256], expected F8_E4M3 [256, 128] as in the first expert"),
      std::string::npos);
}

}  // namespace
}  // namespace polymoe::test
