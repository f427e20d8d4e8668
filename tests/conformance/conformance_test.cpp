// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Each public conformance case, by each backend that this CPU can run. A backend may refuse a case, with a reason; the
// reference refuses none.

#include "tests/support/conformance.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "examples/polymoe_run/layer_output.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/kernel_table.hpp"
#include "examples/support/layer_file.hpp"
#include "polymoe/execution/serial_executor.hpp"

namespace polymoe::test {
namespace {

using tools::KernelTable;
using tools::LayerFile;

const KernelTable& kernels() {
  static const KernelTable table;
  return table;
}

std::vector<std::string> backends() {
  std::vector<std::string> names;
  for (const std::string_view name : kernels().backends()) names.emplace_back(name);
  return names;
}

using Case = std::tuple<std::string, ConformanceCase>;

class Conformance : public ::testing::TestWithParam<Case> {};

TEST_P(Conformance, holds) {
  const auto& [backend, conformance_case] = GetParam();
  const LayerFile layer = LayerFile::load(conformance_case.path);
  const tools::LayerKernel* kernel = nullptr;
  try {
    kernel = &kernels().select(config_of(layer), layer.keys, backend);
  } catch (const UnsupportedError& refusal) {
    EXPECT_NE(backend, "reference") << refusal.what();
    EXPECT_NE(std::string(refusal.what()).find("does not support"), std::string::npos) << refusal.what();
    GTEST_SKIP() << refusal.what();
  }

  SerialExecutor serial;
  const tools::AnyExecutor executor(serial);
  const std::unique_ptr<tools::BoundLayer> bound =
      kernel->bind({layer.checkpoint, layer.activation, layer.activation_parameters, layer.parameters}, executor);
  for (const bool f32 : {false, true}) {
    tools::LayerOutput output(layer, f32);
    output.compute(*bound, executor);
    const Judgement judgement = judge(output.output(), layer, /*strict=*/true);
    EXPECT_TRUE(judgement.passed) << judgement.text;

    static const RoutingGoldens goldens;
    if (goldens.contains(conformance_case)) {
      EXPECT_EQ(judge_routing(output.topk_ids(), output.topk_weights(), goldens.topk_ids(conformance_case),
                              goldens.topk_weights(conformance_case)),
                "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Public, Conformance,
                         ::testing::Combine(::testing::ValuesIn(backends()), ::testing::ValuesIn(conformance_cases())),
                         [](const ::testing::TestParamInfo<Case>& each) {
                           return std::get<0>(each.param) + "_" + test_name(std::get<1>(each.param));
                         });

TEST(ConformanceCases, each_is_computed_by_the_backend_that_is_chosen_for_it) {
  for (const ConformanceCase& each : conformance_cases()) {
    const LayerFile layer = LayerFile::load(each.path);
    EXPECT_NO_THROW(static_cast<void>(kernels().select(config_of(layer), layer.keys, ""))) << each.name;
  }
}

}  // namespace
}  // namespace polymoe::test
