// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include "polymoe/experts/grouped.hpp"
#include "polymoe/target/detect.hpp"
#include "polymoe/target/native.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/run_layer.hpp"

namespace polymoe::test {
namespace {

class GroupedConformance : public testing::TestWithParam<ConformanceCase> {};

/// Where this program is compiled for the backend's instructions, and this machine has them.
template <class Backend, CpuFeatures needed>
void expect_conforming(const tools::LayerFile& layer) {
  if constexpr (target::native.cpu.has_all(needed)) {
    if (!target::detect().cpu.has_all(needed)) return;
    const Judgement judgement = judge(run_layer_on<quant::Unquantized, Backend>(layer).view(), layer, true);
    EXPECT_TRUE(judgement.passed) << Backend::name() << ": " << judgement.text;
  }
}

TEST_P(GroupedConformance, computes_what_the_page_says) {
  const tools::LayerFile layer = tools::LayerFile::load(GetParam().path);
  if (layer.hidden_states.dtype == DType::bf16) {
    expect_conforming<backend::AmxBf16, isa_level::amx>(layer);
    expect_conforming<backend::Avx512Bf16, isa_level::avx512_bf16>(layer);
  }
  expect_conforming<backend::SimdAvx512, isa_level::avx512>(layer);
  expect_conforming<backend::SimdAvx2, isa_level::avx2>(layer);
  expect_conforming<backend::SimdSse42, isa_level::sse42>(layer);
}

INSTANTIATE_TEST_SUITE_P(Unquantized, GroupedConformance, testing::ValuesIn(conformance_cases("unquantized")),
                         [](const auto& instance) { return test_name(instance.param); });

}  // namespace
}  // namespace polymoe::test
