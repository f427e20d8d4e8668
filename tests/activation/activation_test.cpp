// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "polymoe/activation/visit.hpp"
#include "tests/support/vectors.hpp"

namespace {

namespace activation = polymoe::activation;
namespace vector = polymoe::vector;
using polymoe::Activation;
using polymoe::ActivationParameters;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();

constexpr Activation all[] = {
    Activation::silu,        Activation::gelu,        Activation::gelu_tanh,   Activation::swigluoai,
    Activation::swiglustep,  Activation::silu_no_mul, Activation::gelu_no_mul, Activation::gelu_tanh_no_mul,
    Activation::relu2_no_mul};

static_assert(std::is_same_v<activation::functor_of<Activation::silu>, activation::Silu>);
static_assert(std::is_same_v<activation::functor_of<Activation::relu2_no_mul>, activation::Relu2NoMul>);
static_assert(!activation::has_functor(Activation::relu2) && !activation::has_functor(Activation::runtime));

/// numerics.md, section 2, in double.
double by_the_page(Activation which, const ActivationParameters& parameters, double g, double u) {
  const double limit = static_cast<double>(polymoe::effective_limit(which, parameters));
  const auto at_most = [](double x, double bound) { return x > bound ? bound : x; };
  const auto clamp = [&](double x) { return x < -limit ? -limit : at_most(x, limit); };
  const auto silu = [](double z) { return z / (1.0 + std::exp(-z)); };
  // 1 + erf and 1 + tanh in forms that keep their digits where they are small.
  const auto gelu = [](double z) { return 0.5 * z * std::erfc(-z / std::sqrt(2.0)); };
  const auto gelu_tanh = [](double z) {
    const double y = std::sqrt(2.0 / 3.14159265358979323846) * (z + 0.044715 * z * z * z);
    return z / (1.0 + std::exp(-2.0 * y));
  };
  switch (which) {
    case Activation::silu: return silu(at_most(g, limit)) * clamp(u);
    case Activation::gelu: return gelu(g) * u;
    case Activation::gelu_tanh: return gelu_tanh(g) * u;
    case Activation::swigluoai: {
      const double gate = at_most(g, limit);
      return (clamp(u) + 1.0) * gate / (1.0 + std::exp(-static_cast<double>(parameters.alpha) * gate));
    }
    case Activation::swiglustep: return at_most(silu(g), limit) * clamp(u);
    case Activation::silu_no_mul: return silu(g);
    case Activation::gelu_no_mul: return gelu(g);
    case Activation::gelu_tanh_no_mul: return gelu_tanh(g);
    case Activation::relu2_no_mul: return g < 0.0 ? 0.0 : g * g;
    default: return 0.0;
  }
}

template <class V>
std::vector<float> applied(Activation which, const ActivationParameters& parameters, const std::vector<float>& gates,
                           const std::vector<float>& ups) {
  std::vector<float> out(gates.size());
  const bool found = activation::visit_activation(which, parameters, [&](const auto& functor) {
    for (std::size_t i = 0; i < gates.size(); i += vector::width<V>) {
      const V gate = vector::load<V>(gates.data() + i);
      if constexpr (std::remove_cvref_t<decltype(functor)>::gated) {
        vector::store(out.data() + i, functor.apply(gate, vector::load<V>(ups.data() + i)));
      } else {
        vector::store(out.data() + i, functor.apply(gate));
      }
    }
  });
  EXPECT_TRUE(found) << name(which);
  return out;
}

template <class V>
class Activations : public testing::Test {};

TYPED_TEST_SUITE(Activations, polymoe::test::Vectors);

const ActivationParameters cases[] = {
    {}, {.alpha = 1.0F, .limit = 3.0F, .has_limit = true}, {.alpha = 2.5F, .limit = 10.0F, .has_limit = true}};

TYPED_TEST(Activations, AreTheFunctionsOfThePageToOneInAMillion) {
  std::vector<float> gates;
  std::vector<float> ups;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> wide(-100.0F, 100.0F);
  std::uniform_real_distribution<float> power(-30.0F, 15.0F);
  for (int i = 0; i < 64'000; ++i) {
    gates.push_back(i % 4 == 0   ? normal(random) * std::exp2(power(random))
                    : i % 4 == 1 ? wide(random)
                                 : normal(random) * 3.0F);
    ups.push_back(normal(random) * 5.0F);
  }
  for (const Activation which : all) {
    for (const ActivationParameters& parameters : cases) {
      const std::vector<float> values = applied<TypeParam>(which, parameters, gates, ups);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double exact = by_the_page(which, parameters, static_cast<double>(gates[i]), static_cast<double>(ups[i]));
        if (std::fabs(exact) > 3e38) continue;
        // (u + 1) loses digits where u is near -1; the page rounds it, too.
        const double slack = which == Activation::swigluoai ? 1e-7 * std::fabs(static_cast<double>(gates[i])) : 0.0;
        ASSERT_LE(std::fabs(static_cast<double>(values[i]) - exact), 1e-6 * std::fabs(exact) + slack + 1e-35)
            << name(which) << " of " << gates[i] << ", " << ups[i];
      }
    }
  }
}

TYPED_TEST(Activations, InfinitiesAndNansFollowIeee) {
  const std::vector<float> specials{0.0F,  -0.0F,  1.0F,     -1.0F,     100.0F,    -100.0F,    1e30F,  -1e30F,
                                    3e38F, -3e38F, infinity, -infinity, nan_value, -nan_value, 1e-40F, 7.0F};
  std::vector<float> gates;
  std::vector<float> ups;
  for (const float gate : specials) {
    for (const float up : specials) {
      // A gate whose function underflows in fp32 is 0 then, and double would tell 0 * inf from tiny * inf.
      const bool underflows = gate < -80.0F && gate > -infinity && !(std::fabs(up) < 1e3F) && !std::isnan(up);
      gates.push_back(gate);
      ups.push_back(underflows ? 1.0F : up);
    }
  }
  for (const Activation which : all) {
    for (const ActivationParameters& parameters : cases) {
      const std::vector<float> values = applied<TypeParam>(which, parameters, gates, ups);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double exact = by_the_page(which, parameters, static_cast<double>(gates[i]), static_cast<double>(ups[i]));
        const auto rounded = static_cast<float>(exact);
        if (std::isnan(rounded)) {
          EXPECT_TRUE(std::isnan(values[i])) << name(which) << " of " << gates[i] << ", " << ups[i];
        } else if (std::isinf(rounded)) {
          EXPECT_EQ(values[i], rounded) << name(which) << " of " << gates[i] << ", " << ups[i];
        } else {
          EXPECT_NEAR(static_cast<double>(values[i]), exact, 1e-6 * std::fabs(exact) + 1e-35)
              << name(which) << " of " << gates[i] << ", " << ups[i];
        }
      }
    }
  }
}

TEST(Activation, OneWithoutAFunctorIsNotCalled) {
  bool called = false;
  EXPECT_FALSE(activation::visit_activation(Activation::relu2, {}, [&](const auto&) { called = true; }));
  EXPECT_FALSE(called);
}

}  // namespace
