// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "polymoe/routing/route.hpp"
#include "tests/support/vectors.hpp"

namespace {

namespace routing = polymoe::routing;
namespace vector = polymoe::vector;
using polymoe::MatrixView;
using polymoe::RoutingMethod;
using polymoe::RoutingParameters;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

constexpr RoutingMethod all_methods[] = {
    RoutingMethod::softmax,        RoutingMethod::renormalize, RoutingMethod::renormalize_naive,
    RoutingMethod::topk,           RoutingMethod::llama4,      RoutingMethod::sigmoid_renorm,
    RoutingMethod::minimax2,       RoutingMethod::deepseek_v3, RoutingMethod::deepseek_v4,
    RoutingMethod::grouped_softmax};

static_assert(std::is_same_v<routing::policy_of<RoutingMethod::renormalize_naive>, routing::Renormalize>);
static_assert(std::is_same_v<routing::policy_of<RoutingMethod::deepseek_v3>, routing::DeepSeekV3>);
static_assert(!routing::has_policy(RoutingMethod::custom) && !routing::has_policy(RoutingMethod::given));

struct Choice {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

/// numerics.md, section 3, for one token, in double and in the plainest words.
struct Page {
  RoutingMethod method;
  RoutingParameters parameters;

  bool is_softmax() const {
    return method == RoutingMethod::softmax || method == RoutingMethod::renormalize ||
           method == RoutingMethod::renormalize_naive || method == RoutingMethod::grouped_softmax;
  }

  std::vector<double> weights(const std::vector<float>& logits) const {
    std::vector<double> result(logits.begin(), logits.end());
    if (is_softmax()) {
      const double greatest = *std::max_element(result.begin(), result.end());
      double sum = 0.0;
      for (double& z : result) sum += z = std::exp(z - greatest);
      for (double& z : result) z /= sum;
    } else if (method == RoutingMethod::deepseek_v4) {
      for (double& z : result) z = std::sqrt(std::max(z, 0.0) + std::log1p(std::exp(-std::fabs(z))));
    } else if (method != RoutingMethod::topk) {
      for (double& z : result) z = 1.0 / (1.0 + std::exp(-z));
    }
    return result;
  }

  std::vector<double> scores(const std::vector<float>& logits, const std::vector<float>& bias) const {
    std::vector<double> result = weights(logits);
    const bool biased = method == RoutingMethod::minimax2 || method == RoutingMethod::deepseek_v3 ||
                        method == RoutingMethod::deepseek_v4;
    for (std::size_t e = 0; e < bias.size() && biased; ++e) result[e] += static_cast<double>(bias[e]);
    const auto n_group = static_cast<std::size_t>(parameters.n_group);
    const auto topk_group = static_cast<std::size_t>(parameters.topk_group);
    const bool grouped = method == RoutingMethod::deepseek_v3 || method == RoutingMethod::grouped_softmax;
    if (!grouped || topk_group >= n_group) return result;
    const std::size_t size = result.size() / n_group;
    std::vector<double> group_scores;
    for (std::size_t g = 0; g < n_group; ++g) {
      std::vector<double> members(result.begin() + static_cast<std::ptrdiff_t>(g * size),
                                  result.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
      std::sort(members.begin(), members.end(), std::greater<>());
      const bool two = method == RoutingMethod::deepseek_v3 && size > 1;
      group_scores.push_back(two ? members[0] + members[1] : members[0]);
    }
    const std::vector<std::size_t> order = falling(group_scores);
    for (std::size_t g = topk_group; g < n_group; ++g) {
      std::fill_n(result.begin() + static_cast<std::ptrdiff_t>(order[g] * size), size, -1e300);
    }
    return result;
  }

  static std::vector<std::size_t> falling(const std::vector<double>& scores) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    return order;
  }

  std::vector<double> final_weights(const std::vector<float>& logits, const std::vector<std::int32_t>& ids) const {
    const std::vector<double> all = weights(logits);
    std::vector<double> result;
    double sum = 0.0;
    for (const std::int32_t id : ids) {
      const double z = static_cast<double>(logits[static_cast<std::size_t>(id)]);
      result.push_back(method == RoutingMethod::llama4 ? 1.0 / (1.0 + std::exp(-z))
                                                       : all[static_cast<std::size_t>(id)]);
      sum += result.back();
    }
    const bool as_it_is = method == RoutingMethod::softmax || method == RoutingMethod::topk ||
                          method == RoutingMethod::llama4 ||
                          (method == RoutingMethod::grouped_softmax && !parameters.renormalize);
    const double divisor = as_it_is ? 1.0 : sum + (method == RoutingMethod::deepseek_v3 ? 1e-20 : 0.0);
    for (double& weight : result) weight = weight / divisor * static_cast<double>(parameters.routed_scaling_factor);
    return result;
  }
};

template <class V>
Choice routed(RoutingMethod method, const RoutingParameters& parameters, std::vector<float> logits,
              const std::vector<float>& bias, std::int64_t top_k) {
  const auto num_experts = static_cast<std::int64_t>(logits.size());
  Choice choice{std::vector<std::int32_t>(static_cast<std::size_t>(top_k), -7),
                std::vector<float>(static_cast<std::size_t>(top_k), -7.0F)};
  std::vector<std::byte> scratch(routing::routing_scratch_bytes(num_experts));
  const MatrixView<const float> view(logits.data(), 1, num_experts);
  EXPECT_TRUE(routing::route<V>(method, view, bias, parameters, {choice.ids.data(), 1, top_k},
                                {choice.weights.data(), 1, top_k}, 0, 1, scratch.data()));
  return choice;
}

void expect_in_range_and_distinct(const Choice& choice, std::size_t num_experts, const std::string& what) {
  const std::set<std::int32_t> distinct(choice.ids.begin(), choice.ids.end());
  EXPECT_EQ(distinct.size(), choice.ids.size()) << what;
  EXPECT_GE(*distinct.begin(), 0) << what;
  EXPECT_LT(*distinct.rbegin(), static_cast<std::int32_t>(num_experts)) << what;
}

template <class V>
class Routing : public testing::Test {};

TYPED_TEST_SUITE(Routing, polymoe::test::Vectors);

struct Shape {
  std::size_t num_experts;
  std::int64_t top_k;
  std::int32_t n_group;
  std::int32_t topk_group;
};
constexpr Shape shapes[] = {{1, 1, 1, 1},     {2, 1, 1, 1},   {3, 3, 1, 1},   {8, 2, 4, 2},    {8, 8, 1, 1},
                            {16, 4, 16, 5},   {60, 4, 1, 1},  {64, 6, 8, 3},  {65, 7, 5, 2},   {128, 8, 1, 1},
                            {160, 6, 8, 3},   {256, 8, 8, 4}, {384, 8, 1, 1}, {512, 10, 1, 1}, {100, 100, 1, 1},
                            {1000, 40, 8, 4}, {72, 9, 6, 1}};

TYPED_TEST(Routing, FollowsThePage) {
  std::mt19937 random(11);
  for (const RoutingMethod method : all_methods) {
    for (const Shape& shape : shapes) {
      const std::int64_t top_k = method == RoutingMethod::llama4 ? 1 : shape.top_k;
      for (int repeat = 0; repeat < 8; ++repeat) {
        const RoutingParameters parameters{.n_group = shape.n_group,
                                           .topk_group = shape.topk_group,
                                           .routed_scaling_factor = repeat % 2 == 0 ? 1.0F : 2.5F,
                                           .renormalize = repeat % 4 < 2};
        std::normal_distribution<float> normal(0.0F, repeat == 7 ? 30.0F : 2.0F);
        std::vector<float> logits(shape.num_experts);
        std::vector<float> bias(repeat % 3 == 0 ? 0 : shape.num_experts);
        for (float& z : logits) z = normal(random);
        for (float& b : bias) b = 0.1F * normal(random);
        const Page page{method, parameters};
        const std::string what = std::string(name(method)) + " E=" + std::to_string(shape.num_experts);
        const Choice choice = routed<TypeParam>(method, parameters, logits, bias, top_k);
        expect_in_range_and_distinct(choice, shape.num_experts, what);
        const std::vector<double> scores = page.scores(logits, bias);
        const std::vector<std::size_t> order = Page::falling(scores);
        for (std::size_t j = 0; j < choice.ids.size(); ++j) {
          const auto found = static_cast<std::size_t>(choice.ids[j]);
          if (found != order[j]) {  // only where both scores are the same number in fp32
            ASSERT_EQ(static_cast<float>(scores[found]), static_cast<float>(scores[order[j]])) << what << " at " << j;
          }
        }
        const std::vector<double> weights = page.final_weights(logits, choice.ids);
        for (std::size_t j = 0; j < choice.ids.size(); ++j) {
          ASSERT_NEAR(static_cast<double>(choice.weights[j]), weights[j], 2e-7 * std::fabs(weights[j]) + 1e-38)
              << what << " at " << j;
        }
      }
    }
  }
}

TYPED_TEST(Routing, EqualScoresGoToTheLowerExpert) {
  std::mt19937 random(12);
  std::uniform_int_distribution<int> few(-2, 2);
  for (const RoutingMethod method : all_methods) {
    for (const Shape& shape : shapes) {
      const std::int64_t top_k = method == RoutingMethod::llama4 ? 1 : shape.top_k;
      const RoutingParameters parameters{.n_group = shape.n_group, .topk_group = shape.topk_group};
      std::vector<float> logits(shape.num_experts);
      std::vector<float> bias(shape.num_experts, 0.25F);
      for (float& z : logits) z = static_cast<float>(few(random));
      for (float& z : logits) z = z == 0.0F && few(random) > 0 ? -0.0F : z;
      const std::vector<std::size_t> order = Page::falling(Page{method, parameters}.scores(logits, bias));
      for (const std::vector<float>& given : {bias, std::vector<float>()}) {
        const Choice choice = routed<TypeParam>(method, parameters, logits, given, top_k);
        for (std::size_t j = 0; j < choice.ids.size(); ++j) {
          ASSERT_EQ(static_cast<std::size_t>(choice.ids[j]), order[j])
              << name(method) << " E=" << shape.num_experts << " at " << j;
        }
      }
    }
  }
}

TYPED_TEST(Routing, EqualGroupsGoToTheLowerGroup) {
  const RoutingParameters parameters{.n_group = 4, .topk_group = 2};
  for (const RoutingMethod method : {RoutingMethod::deepseek_v3, RoutingMethod::grouped_softmax}) {
    const Choice choice = routed<TypeParam>(method, parameters, std::vector<float>(64, 1.0F), {}, 20);
    for (std::int32_t j = 0; j < 20; ++j) EXPECT_EQ(choice.ids[static_cast<std::size_t>(j)], j);
  }
}

TYPED_TEST(Routing, MinusInfinityComesLast) {
  for (const RoutingMethod method : all_methods) {
    std::vector<float> logits(80, -infinity);
    logits[77] = 1.0F;
    logits[40] = 2.0F;
    const std::int64_t top_k = method == RoutingMethod::llama4 ? 1 : 4;
    const Choice choice = routed<TypeParam>(method, {}, logits, {}, top_k);
    const std::vector<std::int32_t> expected{40, 77, 0, 1};
    for (std::size_t j = 0; j < choice.ids.size(); ++j) EXPECT_EQ(choice.ids[j], expected[j]) << name(method);
    if (method != RoutingMethod::llama4 && method != RoutingMethod::topk) {
      EXPECT_GT(choice.weights[1], 0.0F) << name(method);
      EXPECT_EQ(choice.weights[2], 0.0F) << name(method);
    }
  }
}

TYPED_TEST(Routing, ExcludedGroupsComeAfterMinusInfinity) {
  std::vector<float> logits(32, -infinity);
  logits[20] = 1.0F;
  const RoutingParameters parameters{.n_group = 4, .topk_group = 1};
  for (const RoutingMethod method : {RoutingMethod::deepseek_v3, RoutingMethod::grouped_softmax}) {
    const Choice choice = routed<TypeParam>(method, parameters, logits, {}, 3);
    EXPECT_EQ(choice.ids, (std::vector<std::int32_t>{20, 16, 17})) << name(method);
  }
}

TYPED_TEST(Routing, TinySigmoidsKeepTheirRatio) {
  for (const RoutingMethod method : {RoutingMethod::sigmoid_renorm, RoutingMethod::minimax2}) {
    const Choice choice = routed<TypeParam>(method, {}, {-200.0F, -201.0F, -300.0F}, {}, 2);
    EXPECT_NEAR(choice.weights[0], 1.0F / (1.0F + std::exp(-1.0F)), 1e-6F);
    EXPECT_NEAR(choice.weights[1], 1.0F / (1.0F + std::exp(1.0F)), 1e-6F);
  }
}

TYPED_TEST(Routing, AnyNansStillGiveDistinctExperts) {
  std::mt19937 random(13);
  const float specials[] = {nan_value, -nan_value, infinity, -infinity, 0.0F, 1e38F, -1e38F};
  for (const RoutingMethod method : all_methods) {
    for (const Shape& shape : shapes) {
      const std::int64_t top_k = method == RoutingMethod::llama4 ? 1 : shape.top_k;
      const RoutingParameters parameters{.n_group = shape.n_group, .topk_group = shape.topk_group};
      for (int repeat = 0; repeat < 12; ++repeat) {
        std::vector<float> logits(shape.num_experts);
        std::vector<float> bias(repeat % 2 == 0 ? 0 : shape.num_experts);
        for (float& z : logits) z = repeat < 2 ? nan_value : specials[random() % std::size(specials)];
        for (float& b : bias) b = specials[random() % std::size(specials)];
        expect_in_range_and_distinct(routed<TypeParam>(method, parameters, logits, bias, top_k), shape.num_experts,
                                     std::string(name(method)));
      }
    }
  }
}

TYPED_TEST(Routing, ANanMakesEverySoftmaxWeightNan) {
  std::vector<float> logits(70, 0.5F);
  logits[69] = nan_value;
  for (const RoutingMethod method :
       {RoutingMethod::softmax, RoutingMethod::renormalize, RoutingMethod::grouped_softmax}) {
    for (const float weight : routed<TypeParam>(method, {}, logits, {}, 3).weights) EXPECT_TRUE(std::isnan(weight));
  }
}

template <class V, class T>
void expect_rows_of(const std::vector<float>& exact) {
  constexpr std::int64_t num_experts = 37;
  constexpr std::int64_t stride = 50;
  constexpr std::int64_t tokens = 6;
  constexpr std::int64_t top_k = 3;
  std::vector<T> logits(tokens * stride, T(1000.0F));
  std::vector<float> rounded(tokens * num_experts);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t e = 0; e < num_experts; ++e) {
      const T z(exact[static_cast<std::size_t>(t * num_experts + e)]);
      logits[static_cast<std::size_t>(t * stride + e)] = z;
      rounded[static_cast<std::size_t>(t * num_experts + e)] = static_cast<float>(z);
    }
  }
  std::vector<std::byte> scratch(routing::routing_scratch_bytes(num_experts) + 1);
  std::vector<std::int32_t> ids(tokens * 5, -7);
  std::vector<float> weights(tokens * 4, -7.0F);
  routing::route_rows<V>(routing::Renormalize{}, MatrixView<T>(logits.data(), tokens, num_experts, stride), {}, {},
                         {ids.data(), tokens, top_k, 5}, {weights.data(), tokens, top_k, 4}, 1, 5, scratch.data() + 1);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const auto row = rounded.begin() + t * num_experts;
    const Choice alone = routed<V>(RoutingMethod::renormalize, {}, {row, row + num_experts}, {}, top_k);
    for (std::int64_t j = 0; j < 5; ++j) {
      const bool written = t >= 1 && t < 5 && j < top_k;
      EXPECT_EQ(ids[static_cast<std::size_t>(t * 5 + j)], written ? alone.ids[static_cast<std::size_t>(j)] : -7);
      if (j < 4) {
        EXPECT_EQ(weights[static_cast<std::size_t>(t * 4 + j)],
                  written ? alone.weights[static_cast<std::size_t>(j)] : -7.0F);
      }
    }
  }
}

TYPED_TEST(Routing, RowsOfEveryTypeAndStrideAreRoutedAlone) {
  std::mt19937 random(14);
  std::normal_distribution<float> normal;
  std::vector<float> logits(6 * 37);
  for (float& z : logits) z = normal(random);
  expect_rows_of<TypeParam, float>(logits);
  expect_rows_of<TypeParam, polymoe::bf16>(logits);
  expect_rows_of<TypeParam, polymoe::fp16>(logits);
}

TYPED_TEST(Routing, ACustomCallableChoosesByItself) {
  const routing::Custom last_experts{
      [](std::span<const float> logits, std::span<std::int32_t> ids, std::span<float> weights) noexcept {
        for (std::size_t j = 0; j < ids.size(); ++j) {
          ids[j] = static_cast<std::int32_t>(logits.size() - 1 - j);
          weights[j] = logits[logits.size() - 1 - j];
        }
      }};
  const std::vector<float> logits{1.0F, 2.0F, 3.0F, 4.0F};
  std::array<std::int32_t, 2> ids{};
  std::array<float, 2> weights{};
  std::vector<std::byte> scratch(routing::routing_scratch_bytes(4));
  routing::route_rows<TypeParam>(last_experts, MatrixView<const float>(logits.data(), 1, 4), {},
                                 {.routed_scaling_factor = 0.5F}, {ids.data(), 1, 2}, {weights.data(), 1, 2}, 0, 1,
                                 scratch.data());
  EXPECT_EQ(ids, (std::array<std::int32_t, 2>{3, 2}));
  EXPECT_EQ(weights, (std::array<float, 2>{2.0F, 1.5F}));
}

TEST(RoutingMethods, OneWithoutAPolicyIsRefused) {
  for (const RoutingMethod method : {RoutingMethod::custom, RoutingMethod::given, RoutingMethod::unspecified}) {
    EXPECT_FALSE(routing::visit_policy(method, [](const auto&) {}));
  }
}

}  // namespace
