// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/lm/transformer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "examples/lm/cross_entropy.hpp"
#include "examples/lm/generate.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "tests/support/plain_moe.hpp"
#include "tests/support/tiny_moe.hpp"

namespace polymoe::test {
namespace {

using lm::Matrix;
using lm::MoECall;
using lm::Token;

PlainMoE<double>& plain_experts() {
  static PlainMoE<double> experts(tiny().checkpoint, tiny().config);
  return experts;
}

constexpr double tolerance = 1e-5;  // fp32 against float64; measured: below 5e-6

TEST(the_trained_model, meets_the_goldens_of_every_layer) {
  SerialExecutor serial;
  lm::Sequence sequence = tiny().model.make_sequence(512);
  Matrix logits(512, 256);
  tiny().model.forward(
      tiny().golden_text(), sequence, logits.view(),
      [&](const MoECall& call) {
        SCOPED_TRACE("layer " + std::to_string(call.layer));
        EXPECT_LT(error_of(call.moe_input, tiny().golden("moe_input", call.layer)).worst_row, tolerance);
        EXPECT_LT(error_of(call.router_logits, tiny().golden("router_logits", call.layer)).worst_row, tolerance);
        plain_experts()(call);
        EXPECT_LT(error_of(call.moe_output, tiny().golden("moe_output", call.layer)).worst_row, tolerance);
        const auto& routed = plain_experts().routed(call.layer);
        const auto ids = tiny().golden<std::int32_t>("topk_ids", call.layer);
        const auto weights = tiny().golden("topk_weights", call.layer);
        for (std::size_t i = 0; i < routed.topk_ids.size(); ++i) {
          ASSERT_EQ(routed.topk_ids[i], ids.data[i]);
          ASSERT_NEAR(routed.topk_weights[i], weights.data[i], 1e-5);
        }
      },
      serial);
  EXPECT_LT(error_of(logits.view(), tiny().golden("logits")).worst_row, tolerance);
}

TEST(the_trained_model, has_the_golden_cross_entropy) {
  // 512 positions predict 512 bytes: the last one belongs to the next window.
  SerialExecutor serial;
  const auto text = std::span(tiny().text).first(513);
  const lm::CrossEntropy result = lm::cross_entropy(tiny().model, text, 512, plain_experts(), serial);
  EXPECT_EQ(result.targets, 512);
  EXPECT_NEAR(result.mean(), golden_cross_entropy, 1e-5);
}

TEST(a_sequence, gives_the_same_logits_however_it_is_fed) {
  SerialExecutor serial;
  const auto text = tiny().golden_text().first(70);
  Matrix whole(70, 256);
  lm::Sequence all_at_once = tiny().model.make_sequence(70);
  tiny().model.forward(text, all_at_once, whole.view(), plain_experts(), serial);

  lm::Sequence in_pieces = tiny().model.make_sequence(512);
  Matrix last(1, 256);
  std::size_t fed = 0;
  for (const std::size_t piece : {1U, 2U, 50U, 1U, 1U, 15U}) {
    tiny().model.forward(text.subspan(fed, piece), in_pieces, last.view(), plain_experts(), serial);
    fed += piece;
    EXPECT_EQ(in_pieces.length(), static_cast<std::int64_t>(fed));
    const MatrixView<const float> expected(whole.row(static_cast<std::int64_t>(fed) - 1), 1, 256);
    EXPECT_LT(error_of(last.view(), expected).worst_row, 1e-5) << fed;
  }
  in_pieces.clear();
  tiny().model.forward(text.first(20), in_pieces, last.view(), plain_experts(), serial);
  EXPECT_LT(error_of(last.view(), MatrixView<const float>(whole.row(19), 1, 256)).worst_row, 1e-5);
}

/// Hands the work out in another order and to other workers than a serial executor.
struct BackwardExecutor {
  static constexpr int concurrency() { return 3; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    for (std::int64_t i = count - 1; i >= 0; --i) f(i, static_cast<int>(i % 3));
  }
};

TEST(a_forward_pass, gives_the_same_bits_whoever_does_which_part) {
  SerialExecutor serial;
  BackwardExecutor backward;
  const auto text = tiny().golden_text().first(130);
  Matrix one(130, 256);
  Matrix other(130, 256);
  lm::Sequence first = tiny().model.make_sequence(130);
  lm::Sequence second = tiny().model.make_sequence(130);
  const auto no_experts = [](const MoECall& call) {
    for (std::int64_t t = 0; t < call.moe_output.rows; ++t) {
      std::copy_n(call.moe_input.row(t), call.moe_output.columns, call.moe_output.row(t));
    }
  };
  tiny().model.forward(text, first, one.view(), no_experts, serial);
  tiny().model.forward(text, second, other.view(), no_experts, backward);
  for (std::int64_t t = 0; t < 130; ++t) {
    ASSERT_EQ(0, std::memcmp(one.row(t), other.row(t), 256 * sizeof(float))) << t;
  }
}

TEST(a_forward_pass, refuses_what_does_not_fit) {
  SerialExecutor serial;
  lm::Sequence sequence = tiny().model.make_sequence(4);
  Matrix logits(1, 256);
  const auto feed = [&](std::vector<Token> tokens, MatrixView<float> into) {
    tiny().model.forward(tokens, sequence, into, plain_experts(), serial);
  };
  EXPECT_THROW(feed({}, logits.view()), Error);
  EXPECT_THROW(feed({1, 2, 3, 4, 5}, logits.view()), Error);
  EXPECT_THROW(feed({256}, logits.view()), Error);
  EXPECT_THROW(feed({-1}, logits.view()), Error);
  Matrix two_rows(2, 256);
  EXPECT_THROW(feed({1}, two_rows.view()), Error);
  Matrix narrow(1, 255);
  EXPECT_THROW(feed({1}, narrow.view()), Error);
  EXPECT_EQ(sequence.length(), 0);
  EXPECT_THROW(tiny().model.make_sequence(0), Error);
  EXPECT_THROW(tiny().model.make_sequence(1025), Error);
}

TEST(generation, at_temperature_0_takes_the_likeliest_token_of_a_pass_over_everything_before) {
  SerialExecutor serial;
  lm::Sampler greedy(0.0, 0);
  std::vector<Token> text = lm::encode("And the LORD said unto ");
  const std::vector<Token> prompt = text;
  std::vector<Token> made;
  EXPECT_EQ(lm::generate(tiny().model, prompt, 12, greedy, plain_experts(), serial,
                         [&](Token token) { made.push_back(token); }),
            12);
  for (const Token token : made) {
    Matrix logits(1, 256);
    lm::Sequence sequence = tiny().model.make_sequence(64);
    tiny().model.forward(text, sequence, logits.view(), plain_experts(), serial);
    ASSERT_EQ(token, std::max_element(logits.row(0), logits.row(0) + 256) - logits.row(0));
    text.push_back(token);
  }
  EXPECT_EQ(lm::decode(made), "him, The son");
}

TEST(generation, of_one_seed_is_one_text) {
  const auto draw = [](std::uint64_t seed) {
    lm::Sampler sampler(1.0, seed);
    const std::vector<float> logits{0.0F, 1.0F, 2.0F, -1.0F};
    std::vector<Token> tokens;
    for (int i = 0; i < 64; ++i) tokens.push_back(sampler(logits));
    return tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(the_sampler, draws_in_proportion) {
  lm::Sampler sampler(0.5, 7);
  const std::vector<float> logits{0.0F, std::log(2.0F), -1000.0F};  // at 0.5: odds of 1 to 4
  std::vector<int> counts(3);
  for (int i = 0; i < 10000; ++i) ++counts[static_cast<std::size_t>(sampler(logits))];
  EXPECT_NEAR(counts[0], 2000, 160);
  EXPECT_NEAR(counts[1], 8000, 160);
  EXPECT_EQ(counts[2], 0);
  EXPECT_EQ(lm::Sampler(0.0, 1)(std::vector<float>{1.0F, 3.0F, 3.0F}), 1) << "of equal logits the first";
}

TEST(generation, ends_where_the_positions_end) {
  SerialExecutor serial;
  lm::Sampler greedy(0.0, 0);
  const auto no_experts = [](const MoECall& call) {
    for (std::int64_t t = 0; t < call.moe_output.rows; ++t) {
      std::fill_n(call.moe_output.row(t), call.moe_output.columns, 0.0F);
    }
  };
  const auto count = [&](std::size_t prompt, std::int64_t wanted) {
    return lm::generate(tiny().model, std::span(tiny().text).first(prompt), wanted, greedy, no_experts, serial,
                        [](Token) {});
  };
  EXPECT_EQ(count(1020, 100), 5);
  EXPECT_EQ(count(1024, 1), 1);
  EXPECT_EQ(count(1024, 9), 1);
  EXPECT_EQ(count(3, 0), 0);
  EXPECT_THROW(count(1025, 1), Error);
  EXPECT_THROW(count(0, 1), Error);
}

TEST(bytes, are_tokens) {
  const std::string text("a\0\xFF\n", 4);
  EXPECT_EQ(lm::encode(text), (std::vector<Token>{97, 0, 255, 10}));
  EXPECT_EQ(lm::decode(lm::encode(text)), text);
}

TEST(multiplication, agrees_with_the_definition_for_every_size) {
  SerialExecutor serial;
  for (const std::int64_t rows : {1, 2, 5, 6, 7, 13, 97, 200}) {
    for (const std::int64_t inner : {1, 3, 64}) {
      for (const std::int64_t columns : {1, 8, 31, 32, 33, 65}) {
        Matrix a(rows, inner);
        Matrix b(inner, columns);
        Matrix one(rows, columns);
        Matrix two(rows, columns);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t k = 0; k < inner; ++k) a.row(r)[k] = static_cast<float>((r * 7 + k * 3) % 11 - 5);
        }
        for (std::int64_t k = 0; k < inner; ++k) {
          for (std::int64_t c = 0; c < columns; ++c) b.row(k)[c] = static_cast<float>((k * 5 + c) % 13 - 6);
        }
        lm::multiply(a.view(), b.view(), one.view());
        lm::multiply(a.view(), b.view(), two.view(), serial);
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t c = 0; c < columns; ++c) {
            float sum = 0;
            for (std::int64_t k = 0; k < inner; ++k) sum += a.row(r)[k] * b.row(k)[c];
            ASSERT_EQ(one.row(r)[c], sum) << rows << " " << inner << " " << columns;  // small integers: exact
            ASSERT_EQ(two.row(r)[c], sum);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace polymoe::test
