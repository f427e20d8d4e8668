// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/lm/expert_layers.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "examples/lm/calibrate.hpp"
#include "examples/lm/cross_entropy.hpp"
#include "examples/lm/experts.hpp"
#include "examples/lm/generate.hpp"
#include "examples/lm/matrix.hpp"
#include "examples/lm/quantized_experts.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/kernel_table.hpp"
#include "polymoe/config/error.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "tests/support/tiny_moe.hpp"

namespace polymoe::test {
namespace {

using lm::ExpertChoice;
using lm::ExpertLayers;
using lm::ExpertWeights;
using lm::Matrix;
using lm::Token;
using tools::AnyExecutor;

const tools::KernelTable& kernels() {
  static const tools::KernelTable table;
  return table;
}

const std::vector<ExpertWeights>& trained_experts() {
  static const std::vector<ExpertWeights> experts = [] {
    std::vector<ExpertWeights> layers;
    for (std::int64_t n = 0; n < tiny().config.num_hidden_layers; ++n) {
      layers.push_back(lm::gather_experts(tiny().checkpoint, tiny().config, n));
    }
    return layers;
  }();
  return experts;
}

const AnyExecutor& serial() {
  static SerialExecutor executor;
  static const AnyExecutor any(executor);
  return any;
}

ExpertLayers unquantized(const ExpertChoice& choice, const AnyExecutor& executor = serial()) {
  ExpertLayers layers(kernels(), tiny().config, choice, executor);
  for (const ExpertWeights& experts : trained_experts()) layers.add(experts.checkpoint);
  return layers;
}

const std::vector<lm::ActivationRange>& activation_ranges() {
  static const std::vector<lm::ActivationRange> ranges = [] {
    ExpertLayers layers = unquantized({});
    return lm::calibrate(tiny().model, trained_experts(), layers, 512, serial());
  }();
  return ranges;
}

ExpertLayers quantized(const quant::NamedScheme& scheme, const ExpertChoice& choice) {
  ExpertLayers layers(kernels(), tiny().config, choice, serial());
  for (std::size_t n = 0; n < trained_experts().size(); ++n) {
    layers.add(lm::quantize_experts(trained_experts()[n], scheme, activation_ranges()[n], serial()).view());
  }
  return layers;
}

double cross_entropy_of(ExpertLayers& layers) {
  const auto text = std::span(tiny().text).first(513);  // 512 positions predict 512 bytes
  return lm::cross_entropy(tiny().model, text, 512, layers, serial()).mean();
}

/// Backends of this CPU that compute unquantized experts from hidden states of `dtype`.
std::vector<std::string> backends_for(DType dtype) {
  std::vector<std::string> names;
  for (const std::string_view name : kernels().backends()) {
    try {
      ExpertLayers(kernels(), tiny().config, {{}, dtype, std::string(name)}, serial());
      names.emplace_back(name);
    } catch (const UnsupportedError&) {
    }
  }
  return names;
}

struct BackendCase {
  std::string backend;
  DType dtype;
};

std::vector<BackendCase> all_backends() {
  std::vector<BackendCase> cases;
  for (const DType dtype : {DType::bf16, DType::f32}) {
    for (const std::string& name : backends_for(dtype)) cases.push_back({name, dtype});
  }
  return cases;
}

class EveryBackend : public ::testing::TestWithParam<BackendCase> {
 protected:
  ExpertLayers layers_ = unquantized({{}, GetParam().dtype, GetParam().backend});
};

TEST_P(EveryBackend, computes_the_trained_experts_from_golden_ids_and_weights) {
  // fp32 hidden states and bf16 weights lose nothing; bf16 hidden states were rounded.
  const double bound = GetParam().dtype == DType::f32 ? 1e-5 : 5e-3;
  for (std::int64_t n = 0; n < tiny().config.num_hidden_layers; ++n) {
    SCOPED_TRACE(n);
    Matrix output(512, 256);
    layers_.compute(n, tiny().golden("moe_input", n), tiny().golden("topk_weights", n),
                    tiny().golden<std::int32_t>("topk_ids", n), output.view());
    const MatrixError error = error_of(output.view(), tiny().golden("moe_output", n));
    EXPECT_LT(error.whole, bound);
    EXPECT_LT(error.worst_row, 5 * bound);
  }
}

TEST_P(EveryBackend, routes_as_the_goldens_say) {
  for (std::int64_t n = 0; n < tiny().config.num_hidden_layers; ++n) {
    Matrix output(512, 256);
    layers_({n, tiny().golden("moe_input", n), tiny().golden("router_logits", n), output.view()});
    const auto expected = tiny().golden<std::int32_t>("topk_ids", n);
    for (std::int64_t t = 0; t < 512; ++t) {
      ASSERT_EQ(0, std::memcmp(layers_.topk_ids().row(t), expected.row(t), 4 * sizeof(std::int32_t))) << n << " " << t;
    }
  }
}

TEST_P(EveryBackend, has_the_golden_cross_entropy) {
  EXPECT_NEAR(cross_entropy_of(layers_), golden_cross_entropy, GetParam().dtype == DType::f32 ? 1e-4 : 0.002);
}

INSTANTIATE_TEST_SUITE_P(, EveryBackend, ::testing::ValuesIn(all_backends()), [](const auto& each) {
  return each.param.backend + (each.param.dtype == DType::f32 ? "_f32" : "_bf16");
});

TEST(a_backend_of_bf16_products, refuses_fp32_hidden_states) {
  const std::vector<std::string> takers = backends_for(DType::f32);
  for (const std::string& backend : backends_for(DType::bf16)) {
    const bool takes_f32 = std::find(takers.begin(), takers.end(), backend) != takers.end();
    EXPECT_EQ(takes_f32, backend.find("bf16") == std::string::npos) << backend;
  }
}

TEST(an_unknown_backend, is_refused_by_name) {
  try {
    unquantized({{}, DType::bf16, "abacus"});
    FAIL() << "accepted";
  } catch (const UnsupportedError& error) {
    EXPECT_EQ(std::string(error.what()), "abacus does not support this layer: this scheme has no backend of that name");
  }
}

/// Greedy or drawn text of an executor.
std::string text_of(const AnyExecutor& executor, double temperature, std::uint64_t seed) {
  ExpertLayers layers = unquantized({}, executor);
  lm::Sampler sampler(temperature, seed);
  std::vector<Token> made;
  lm::generate(tiny().model, lm::encode("And the "), 60, sampler, layers, executor,
               [&](Token token) { made.push_back(token); });
  return lm::decode(made);
}

TEST(generated_text, depends_on_the_seed_and_on_nothing_else) {
  const std::string text = text_of(serial(), 1.0, 5);
  EXPECT_EQ(text_of(serial(), 1.0, 5), text);
  EXPECT_NE(text_of(serial(), 1.0, 6), text);
  EXPECT_EQ(text_of(serial(), 0.0, 5), text_of(serial(), 0.0, 6));
}

TEST(a_forward_pass, gives_the_same_bits_for_every_executor_and_number_of_threads) {
  const auto logits_of = [](const AnyExecutor& executor) {
    ExpertLayers layers = unquantized({}, executor);
    lm::Sequence sequence = tiny().model.make_sequence(512);
    Matrix logits(200, 256);
    tiny().model.forward(std::span(tiny().text).first(200), sequence, logits.view(), layers, executor);
    return logits;
  };
  const Matrix expected = logits_of(serial());
  for (const std::string_view name : tools::executor_names()) {
    for (const int threads : {1, 2, 3}) {
      tools::with_executor(name, threads, [&](const AnyExecutor& executor) {
        const Matrix found = logits_of(executor);
        for (std::int64_t t = 0; t < 200; ++t) {
          ASSERT_EQ(0, std::memcmp(found.row(t), expected.row(t), 256 * sizeof(float)))
              << name << " with " << threads << " threads, position " << t;
        }
      });
    }
  }
}

struct SchemeCase {
  quant::NamedScheme scheme;
  ActivationMode mode;
};

std::vector<SchemeCase> all_schemes_and_modes() {
  std::vector<SchemeCase> cases;
  for (const quant::NamedScheme& scheme : quant::named_schemes) {
    if (scheme.weight.is_none()) continue;
    cases.push_back({scheme, ActivationMode::wide});
    if (!scheme.activation.is_none()) cases.push_back({scheme, ActivationMode::faithful});
  }
  return cases;
}

class EveryScheme : public ::testing::TestWithParam<SchemeCase> {};

TEST_P(EveryScheme, loses_little_of_the_trained_model) {
  const auto& [scheme, mode] = GetParam();
  const bool four_bits = scheme.weight.element == QuantElement::e2m1 || scheme.weight.element == QuantElement::uint4b8;
  ExpertLayers layers = quantized(scheme, {scheme.keys(mode), DType::bf16, ""});
  const double loss = cross_entropy_of(layers) - golden_cross_entropy;
  RecordProperty("loss", std::to_string(loss));
  EXPECT_LT(loss, four_bits ? 0.06 : 0.01);

  // It did lose something: the experts' outputs are those of rounded weights.
  Matrix output(512, 256);
  layers.compute(0, tiny().golden("moe_input", 0), tiny().golden("topk_weights", 0),
                 tiny().golden<std::int32_t>("topk_ids", 0), output.view());
  const double error = error_of(output.view(), tiny().golden("moe_output", 0)).whole;
  RecordProperty("error", std::to_string(error));
  EXPECT_GT(error, four_bits ? 0.03 : 0.003);
  EXPECT_LT(error, four_bits ? 0.25 : 0.06);
}

INSTANTIATE_TEST_SUITE_P(, EveryScheme, ::testing::ValuesIn(all_schemes_and_modes()), [](const auto& each) {
  return std::string(each.param.scheme.name) + "_" + std::string(name(each.param.mode));
});

TEST(calibration, finds_ranges_and_gives_the_same_again) {
  ExpertLayers layers = unquantized({});
  const auto again = lm::calibrate(tiny().model, trained_experts(), layers, 512, serial());
  ASSERT_EQ(again.size(), 3U);
  for (std::size_t n = 0; n < again.size(); ++n) {
    EXPECT_EQ(again[n].w13, activation_ranges()[n].w13);
    EXPECT_EQ(again[n].w2, activation_ranges()[n].w2);
    // What the goldens, another text, show is of the same magnitude.
    const float golden = lm::detail::greatest_magnitude(tiny().golden("moe_input", static_cast<std::int64_t>(n)));
    EXPECT_GT(again[n].w13, golden / 2);
    EXPECT_LT(again[n].w13, golden * 2);
    EXPECT_GT(again[n].w2, 0.0F);
  }
}

TEST(a_static_scale, lets_the_greatest_magnitude_be_the_greatest_code) {
  EXPECT_EQ(lm::static_scale(quant_key::fp8_static_tensor, 896.0F), 2.0F);
  EXPECT_EQ(lm::static_scale(quant_key::nvfp4_dynamic, 5376.0F), 2.0F);
  EXPECT_EQ(lm::static_scale(quant_key::nvfp4_dynamic, 0.0F), 1.0F) << "nothing is divided by zero";
}

TEST(bits_per_weight, count_scales) {
  const std::int64_t weights = 16 * 3 * 256 * 128;
  const auto bits = [&](std::string_view name) {
    const quant::NamedScheme scheme = *quant::named_scheme(name);
    if (scheme.weight.is_none()) return lm::bits_per_weight(trained_experts()[0].checkpoint, weights);
    return lm::bits_per_weight(lm::quantize_experts(trained_experts()[0], scheme, std::nullopt, serial()).view(),
                               weights);
  };
  EXPECT_EQ(bits("bf16"), 16.0);
  EXPECT_EQ(bits("mxfp8"), 8.25);
  EXPECT_EQ(bits("mxfp4"), 4.25);
  EXPECT_EQ(bits("int4_g128"), 4.125);
  EXPECT_EQ(bits("int4_g32"), 4.5);
  EXPECT_EQ(bits("fp8_block128"), 8.0 + 32.0 / (128 * 128));
  EXPECT_NEAR(bits("nvfp4"), 4.5, 1e-3);
}

}  // namespace
}  // namespace polymoe::test
