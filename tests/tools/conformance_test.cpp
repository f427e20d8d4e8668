// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "tests/support/conformance.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace polymoe::test {
namespace {

constexpr float nan = __builtin_nanf("");
constexpr float infinity = __builtin_inff();

Judgement judge_rows(std::vector<float> output, std::vector<float> expected, double bound = 1e-2) {
  const auto view = [](std::vector<float>& values) {
    return TokensView(MatrixView<const float>(values.data(), static_cast<std::int64_t>(values.size()) / 2, 2));
  };
  return judge(view(output), view(expected), bound);
}

TEST(the_judge, measures_the_relative_norm) {
  const Judgement judgement = judge_rows({3, 4.0499F}, {3, 4});
  EXPECT_TRUE(judgement.passed);
  EXPECT_NEAR(judgement.error, 0.00998, 1e-6);
  EXPECT_FALSE(judge_rows({3, 4.06F}, {3, 4}).passed);
}

TEST(the_judge, allows_a_token_five_times_the_bound) {
  EXPECT_TRUE(judge_rows({1000, 0, 1.049F, 0}, {1000, 0, 1, 0}).passed);
  const Judgement judgement = judge_rows({1000, 0, 1.051F, 0}, {1000, 0, 1, 0});
  EXPECT_FALSE(judgement.passed);
  EXPECT_EQ(judgement.worst_token, 1);
}

TEST(the_judge, wants_zeros_where_all_is_zero) {
  EXPECT_TRUE(judge_rows({0, -0.0F, 1, 1}, {0, 0, 1, 1}).passed);
  EXPECT_FALSE(judge_rows({1e-30F, 0, 1, 1}, {0, 0, 1, 1}).passed);
  EXPECT_TRUE(judge_rows({0, 0}, {0, 0}).passed);
  EXPECT_TRUE(judge_rows({}, {}).passed);
}

TEST(the_judge, wants_nan_where_they_are_expected_and_nowhere_else) {
  EXPECT_TRUE(judge_rows({nan, nan, 1, 1}, {nan, nan, 1, 1}).passed);
  EXPECT_TRUE(judge_rows({nan, 7, 1, 1}, {nan, 2, 1, 1}).passed) << "such a token does not count in the norms";
  EXPECT_FALSE(judge_rows({nan, 1, 1, 1}, {nan, nan, 1, 1}).passed);
  EXPECT_FALSE(judge_rows({1, 1, nan, 1}, {1, 1, 1, 1}).passed);
}

TEST(the_judge, knows_infinities) {
  EXPECT_TRUE(judge_rows({infinity, 1, 1, 1}, {infinity, 1, 1, 1}).passed);
  EXPECT_FALSE(judge_rows({-infinity, 1, 1, 1}, {infinity, 1, 1, 1}).passed);
  EXPECT_FALSE(judge_rows({infinity, 1, 1, 1}, {1, 1, 1, 1}).passed);
}

TEST(the_judge, compares_routings_place_by_place) {
  const std::vector<std::int32_t> ids{3, 1};
  const std::vector<float> weights{0.75F, 0.25F};
  EXPECT_EQ(judge_routing(ids, weights, ids, weights), "");
  EXPECT_EQ(judge_routing(ids, std::vector<float>{0.750001F, 0.25F}, ids, weights), "");
  EXPECT_NE(judge_routing(ids, std::vector<float>{0.7501F, 0.25F}, ids, weights), "");
  EXPECT_NE(judge_routing(ids, std::vector<float>{nan, 0.25F}, ids, weights), "");
  EXPECT_NE(judge_routing(std::vector<std::int32_t>{1, 3}, weights, ids, weights), "");
}

TEST(the_goldens_of_the_routing, exist_for_every_case_that_routes) {
  const RoutingGoldens goldens;
  for (const ConformanceCase& found : conformance_cases()) {
    const tools::LayerFile layer = tools::LayerFile::load(found.path);
    const bool routes = layer.parameters.routing != RoutingMethod::given;
    EXPECT_EQ(goldens.contains(found), routes) << found.name;
    if (routes) {
      EXPECT_EQ(goldens.topk_ids(found).size(), static_cast<std::size_t>(found.tokens * found.shape.top_k));
    }
  }
}

TEST(every_expected_output, passes_its_own_judgement) {
  for (const ConformanceCase& found : conformance_cases()) {
    const tools::LayerFile layer = tools::LayerFile::load(found.path);
    const TensorView& expected = layer.expected_output;
    const TokensView view(expected.data, expected.dtype, layer.tokens, layer.shape.hidden_size,
                          layer.shape.hidden_size);
    EXPECT_TRUE(judge(view, layer, true).passed) << found.name;
  }
}

}  // namespace
}  // namespace polymoe::test
