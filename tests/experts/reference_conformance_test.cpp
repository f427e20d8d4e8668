// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include "polymoe/quant/scheme_table.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/run_layer.hpp"

namespace polymoe::test {
namespace {

class ReferenceConformance : public testing::TestWithParam<ConformanceCase> {};

TEST_P(ReferenceConformance, computes_what_the_page_says) {
  const tools::LayerFile layer = tools::LayerFile::load(GetParam().path);
  LayerOutput output;
  ASSERT_TRUE(quant::visit_scheme(layer.keys,
                                  [&]<class Scheme>() { output = run_layer_on<Scheme, backend::Reference>(layer); }));
  const Judgement judgement = judge(output.view(), layer, true);
  EXPECT_TRUE(judgement.passed) << judgement.text;
  // Sums in double leave nothing but the rounding of the output to fp32.
  EXPECT_LE(judgement.error, 1e-6) << judgement.text;
}

INSTANTIATE_TEST_SUITE_P(Public, ReferenceConformance, testing::ValuesIn(conformance_cases()),
                         [](const auto& instance) { return test_name(instance.param); });

}  // namespace
}  // namespace polymoe::test
