// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/quantize/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "tests/support/random_checkpoint.hpp"

namespace polymoe::quant {
namespace {

using test::TensorStore;

constexpr std::int64_t experts = 2;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t intermediate = 128;

/// Three threads that take every third index.
struct ThreeThreads {
  static int concurrency() { return 3; }
  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 3; ++worker) {
      threads.emplace_back([&, worker] {
        for (std::int64_t i = worker; i < count; i += 3) f(i, worker);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
};

/// Normal weights as training leaves them, w3 larger than w1.
struct Source {
  TensorStore store;
  MoECheckpoint checkpoint;

  explicit Source(W13Layout layout = W13Layout::concatenated, DType dtype = DType::f32) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    checkpoint.w13_layout = layout;
    const auto w13 = [&](std::int64_t i) {
      const std::int64_t row = i / hidden % (2 * intermediate);
      const bool up = layout == W13Layout::interleaved ? row % 2 == 1 : row >= intermediate;
      return normal(random) * (up ? 5.0F : 1.0F);
    };
    const auto w2 = [&](std::int64_t) { return normal(random); };
    if (dtype == DType::bf16) {
      checkpoint.w13.weight =
          store.filled<bf16>(dtype, {experts, 2 * intermediate, hidden}, [&](std::int64_t i) { return bf16(w13(i)); });
      checkpoint.w2.weight =
          store.filled<bf16>(dtype, {experts, hidden, intermediate}, [&](std::int64_t i) { return bf16(w2(i)); });
    } else {
      checkpoint.w13.weight = store.filled<float>(dtype, {experts, 2 * intermediate, hidden}, w13);
      checkpoint.w2.weight = store.filled<float>(dtype, {experts, hidden, intermediate}, w2);
    }
  }
};

LayerShape shape_of(const MoECheckpoint& checkpoint) {
  return checkpoint_shape<Unquantized>(checkpoint);
}

/// Relative L2 error of all weights of a quantized checkpoint.
double error_of(const MoECheckpoint& quantized, const MoECheckpoint& source, const QuantKey& key) {
  const LayerShape shape = shape_of(source);
  double difference = 0;
  double magnitude = 0;
  const auto add = [&](const ProjectionTensors& q, const ProjectionTensors& s, std::int64_t rows,
                       std::int64_t columns) {
    for (std::int64_t e = 0; e < experts; ++e) {
      const WeightMatrix have = weight_matrix(quantized, q, key, e, rows, columns);
      const WeightMatrix want = weight_matrix(source, s, quant_key::none, e, rows, columns);
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) {
          const double x = want.value(r, c);
          difference += (have.value(r, c) - x) * (have.value(r, c) - x);
          magnitude += x * x;
        }
      }
    }
  };
  add(quantized.w13, source.w13, shape.w13_rows(), shape.hidden_size);
  add(quantized.w2, source.w2, shape.hidden_size, shape.intermediate_size);
  return std::sqrt(difference / magnitude);
}

SchemeInfo info_of(const WeightFormat& format) {
  return {*family_of(format.key), {format.key, quant_key::none}, checkpoint_group, Choice::runtime, "of the test"};
}

struct Case {
  const char* name;
  WeightFormat format;
  double error;  ///< bound for normal weights
};

const Case cases[] = {
    {"fp8_static_tensor", {.key = quant_key::fp8_static_tensor}, 0.03},
    {"fp8_static_channel", {.key = quant_key::fp8_static_channel}, 0.03},
    {"fp8_static_block128", {.key = quant_key::fp8_static_block128}, 0.03},
    {"mxfp8_static", {.key = quant_key::mxfp8_static}, 0.035},
    {"mxfp4_static", {.key = quant_key::mxfp4_static}, 0.16},
    {"nvfp4_static", {.key = quant_key::nvfp4_static}, 0.12},
    {"int8_static_channel", {.key = quant_key::int8_static_channel}, 0.01},
    {"int8 g128", {.key = quant_key::int8_static_group, .group_size = 128}, 0.01},
    {"int8 row, zeros",
     {.key = quant_key::int8_static_group, .group_size = whole_row, .zero_points = true, .scale_dtype = DType::f16},
     0.01},
    {"int4 g32", {.key = quant_key::int4_static_group, .group_size = 32, .scale_dtype = DType::bf16}, 0.11},
    {"int4 g128", {.key = quant_key::int4_static_group, .group_size = 128}, 0.13},
    {"int4 g64, zeros", {.key = quant_key::int4_static_group, .group_size = 64, .zero_points = true}, 0.12},
};

TEST(QuantizeWeights, makes_checkpoints_that_are_accepted_and_close) {
  SerialExecutor serial;
  for (const W13Layout layout : {W13Layout::concatenated, W13Layout::interleaved}) {
    const Source source(layout);
    for (const Case& c : cases) {
      const QuantizedCheckpoint quantized = quantize_weights(source.checkpoint, c.format, serial);
      const MoECheckpoint view = quantized.view();
      make_quant_config(info_of(c.format), view);
      EXPECT_LT(error_of(view, source.checkpoint, c.format.key), c.error) << c.name;
    }
  }
}

TEST(QuantizeWeights, packs_the_same_weights_in_every_pack_format) {
  SerialExecutor serial;
  const Source source(W13Layout::concatenated, DType::bf16);
  for (const QuantKey key : {quant_key::int4_static_group, quant_key::int8_static_group}) {
    for (const bool zeros : {false, true}) {
      WeightFormat format{.key = key, .group_size = 64, .zero_points = zeros};
      const QuantizedCheckpoint plain = quantize_weights(source.checkpoint, format, serial);
      for (const PackFormat pack : {PackFormat::gptq, PackFormat::awq}) {
        if (pack == PackFormat::awq && key == quant_key::int8_static_group) continue;
        format.pack_format = pack;
        const QuantizedCheckpoint packed = quantize_weights(source.checkpoint, format, serial);
        make_quant_config(info_of(format), packed.view());
        for (std::int64_t e = 0; e < experts; ++e) {
          const MoECheckpoint a = plain.view();
          const MoECheckpoint b = packed.view();
          const WeightMatrix want = weight_matrix(a, a.w2, key, e, hidden, intermediate);
          const WeightMatrix have = weight_matrix(b, b.w2, key, e, hidden, intermediate);
          for (std::int64_t r = 0; r < hidden; ++r) {
            for (std::int64_t c = 0; c < intermediate; ++c) ASSERT_EQ(have.value(r, c), want.value(r, c));
          }
        }
      }
    }
  }
}

TEST(QuantizeWeights, gains_by_the_search_over_the_scale) {
  SerialExecutor serial;
  const Source source;
  for (const Case& c : cases) {
    WeightFormat format = c.format;
    const double nearest =
        error_of(quantize_weights(source.checkpoint, format, serial).view(), source.checkpoint, format.key);
    format.search = ScaleSearch::mean_square_error;
    const QuantizedCheckpoint searched = quantize_weights(source.checkpoint, format, serial);
    const double best = error_of(searched.view(), source.checkpoint, format.key);
    const bool has_search = format.key.element == QuantElement::e2m1 || format.key.element == QuantElement::uint4b8;
    if (has_search) {
      EXPECT_LT(best, 0.97 * nearest) << c.name;
    } else {
      EXPECT_EQ(best, nearest) << c.name;
    }
  }
}

TEST(QuantizeWeights, does_not_depend_on_the_number_of_threads) {
  SerialExecutor serial;
  ThreeThreads threads;
  const Source source;
  for (Case c : cases) {
    for (const PackFormat pack : {PackFormat::compressed_tensors, PackFormat::awq}) {
      if (pack == PackFormat::awq && c.format.key != quant_key::int4_static_group) continue;
      c.format.pack_format = pack;
      const QuantizedCheckpoint one = quantize_weights(source.checkpoint, c.format, serial);
      const QuantizedCheckpoint three = quantize_weights(source.checkpoint, c.format, threads);
      const ProjectionTensors a = one.view().w13;
      const ProjectionTensors b = three.view().w13;
      EXPECT_EQ(std::memcmp(a.weight.data, b.weight.data, a.weight.bytes()), 0) << c.name;
      EXPECT_EQ(std::memcmp(a.weight_scale.data, b.weight_scale.data, a.weight_scale.bytes()), 0) << c.name;
    }
  }
}

TEST(QuantizeWeights, scales_w1_and_w3_apart) {
  SerialExecutor serial;
  for (const W13Layout layout : {W13Layout::concatenated, W13Layout::interleaved}) {
    const Source source(layout);
    const QuantizedCheckpoint quantized =
        quantize_weights(source.checkpoint, {.key = quant_key::fp8_static_tensor}, serial);
    const TensorView scale = quantized.view().w13.weight_scale;
    ASSERT_EQ(scale.rank, 2);
    EXPECT_GT(load_element<float>(scale.data, 1), 3.0F * load_element<float>(scale.data, 0));
  }
}

TEST(QuantizeWeights, keeps_zeros_and_the_greatest_weight) {
  float x[32] = {};
  std::uint8_t codes[32];
  EXPECT_EQ(quantize_integer_group(x, 32, 4, false, DType::f32, ScaleSearch::mean_square_error, codes).scale, 0.0F);
  for (const std::uint8_t code : codes) EXPECT_EQ(code, 8);
  EXPECT_EQ(quantize_nvfp4_group(x, 16, 1.0F, ScaleSearch::mean_square_error, codes), 0);
  quantize_mxfp4_group(x, 32, ScaleSearch::mean_square_error, codes);
  for (const std::uint8_t code : codes) EXPECT_EQ(code & 7, 0);
  x[3] = -1.5F;
  x[4] = 6.0F;
  const IntegerScale scale = quantize_integer_group(x, 32, 4, true, DType::f32, ScaleSearch::none, codes);
  EXPECT_EQ(scale.scale, 0.5F);
  EXPECT_EQ(scale.zero, 3);
  EXPECT_EQ(codes[3], 0);
  EXPECT_EQ(codes[4], 15);
  EXPECT_EQ(codes[5], 3);
}

TEST(QuantizeWeights, refuses_what_cannot_be_quantized) {
  SerialExecutor serial;
  const Source source;
  EXPECT_THROW(quantize_weights(source.checkpoint, {.key = quant_key::none}, serial), Error);
  EXPECT_THROW(
      quantize_weights(source.checkpoint, {.key = quant_key::mxfp4_static, .pack_format = PackFormat::gptq}, serial),
      Error);
  EXPECT_THROW(quantize_weights(source.checkpoint,
                                {.key = quant_key::int8_static_group, .pack_format = PackFormat::awq}, serial),
               Error);
  TensorStore store;
  MoECheckpoint odd;
  odd.w13.weight = store.zeros(DType::f32, {1, 32, 40});
  odd.w2.weight = store.zeros(DType::f32, {1, 40, 16});
  EXPECT_THROW(quantize_weights(odd, {.key = quant_key::mxfp8_static}, serial), Error);
  MoECheckpoint broken;
  broken.w13.weight = store.filled<float>(
      DType::f32, {1, 64, 32}, [](std::int64_t i) { return i == 99 ? std::numeric_limits<float>::quiet_NaN() : 1.0F; });
  broken.w2.weight = store.zeros(DType::f32, {1, 32, 32});
  EXPECT_THROW(quantize_weights(broken, {.key = quant_key::mxfp8_static}, serial), Error);
}

TEST(QuantizeWeights, makes_checkpoints_that_can_be_moved_with_their_input_scales) {
  SerialExecutor serial;
  const Source source;
  std::vector<QuantizedCheckpoint> kept;
  for (int i = 0; i < 3; ++i) {
    kept.push_back(quantize_weights(source.checkpoint, weight_format(*named_scheme("nvfp4")), serial));
    kept.back().set_input_scales(0.25F, 0.5F);
  }
  const QuantConfig config = make_quant_config<NvFp4Faithful>(kept[0].view());
  EXPECT_EQ(config.w13_input_scale, 0.25F);
  EXPECT_EQ(config.w2_input_scale, 0.5F);
}

TEST(QuantizeWeights, tells_how_far_it_is) {
  SerialExecutor serial;
  const Source source;
  std::vector<std::int64_t> seen;
  static_cast<void>(quantize_weights(source.checkpoint, {.key = quant_key::mxfp8_static}, serial,
                                     [&](std::int64_t done, std::int64_t) { seen.push_back(done); }));
  EXPECT_EQ(seen, (std::vector<std::int64_t>{1, 2}));
}

}  // namespace
}  // namespace polymoe::quant
