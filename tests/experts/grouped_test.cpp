// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/experts/grouped.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "polymoe/target/detect.hpp"
#include "tests/experts/grouped_layer.hpp"

namespace polymoe::test {
namespace {

template <class Microkernel>
class Grouped : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { static_cast<void>(target::detect()); }
};

using Microkernels = ::testing::Types<
#if defined(POLYMOE_HAS_AMX)
    microkernel::AmxBf16,
#endif
#if defined(__AVX512BF16__)
    microkernel::Avx512Bf16,
#endif
#if defined(__AVX512F__)
    microkernel::Simd<xsimd::avx512bw>,
#endif
#if defined(__AVX2__)
    microkernel::Simd<xsimd::fma3<xsimd::avx2>>,
#endif
    microkernel::Simd<xsimd::sse4_2>>;
TYPED_TEST_SUITE(Grouped, Microkernels);

template <class Microkernel>
using Modular = experts::Grouped<ExpertsForm::modular, any_layer, quant::Unquantized, Microkernel>;
using Judge = experts::Reference<ExpertsForm::modular, quant::Unquantized>;

template <class Microkernel>
constexpr bool takes_only_bf16 = sizeof(typename Microkernel::Element) == 2;

/// One layer on 1, 2, 3 and 7 threads: as the reference says, and the same bits each time.
template <class Microkernel>
void expect_reference(const LayerOptions& options, unsigned seed, double bound) {
  RandomLayer made;
  make_layer(made, options, seed);
  SCOPED_TRACE(made.describe() + " seed " + std::to_string(seed));
  const PackedWeights judged = pack<Judge, quant::Unquantized>(made);
  const Tensor expected = run_modular<Judge>(made, judged, 2, DType::f32);
  const PackedWeights weights = pack<Modular<Microkernel>, quant::Unquantized>(made);
  Tensor first = run_modular<Modular<Microkernel>>(made, weights, 1, DType::f32);
  EXPECT_LT(distance(first, expected), bound);
  for (const int threads : {2, 3, 7}) {
    Tensor other = run_modular<Modular<Microkernel>>(made, weights, threads, DType::f32);
    EXPECT_EQ(first.bytes(), other.bytes()) << threads << " threads";
  }
}

TYPED_TEST(Grouped, ComputesTheLayerForAnyShape) {
  const LayerOptions shapes[] = {
      {1, 37, 52, 1, 1},   {3, 64, 32, 4, 2},    {17, 37, 52, 3, 2},   {33, 96, 48, 2, 1},   {5, 200, 100, 16, 8},
      {64, 128, 64, 8, 2}, {130, 640, 96, 3, 2}, {1, 2048, 768, 4, 4}, {1100, 64, 40, 3, 2}, {9, 1, 1, 2, 1},
  };
  unsigned seed = 1;
  for (const LayerOptions& shape : shapes) expect_reference<TypeParam>(shape, seed++, 5e-3);
}

TYPED_TEST(Grouped, ComputesEveryActivation) {
  for (const Activation activation :
       {Activation::silu, Activation::gelu, Activation::gelu_tanh, Activation::swigluoai, Activation::swiglustep,
        Activation::silu_no_mul, Activation::gelu_no_mul, Activation::gelu_tanh_no_mul, Activation::relu2_no_mul}) {
    for (const bool biases : {false, true}) {
      LayerOptions options{7, 72, 56, 4, 3};
      options.activation = activation;
      options.biases = biases;
      expect_reference<TypeParam>(options, 7, 5e-3);
    }
  }
}

TYPED_TEST(Grouped, ReadsInterleavedCheckpointsBiasesSharedAndRemoteExperts) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    LayerOptions options{static_cast<std::int64_t>(1 + seed * 7), 50 + seed, 44 + 3 * seed, 6, 3};
    options.layout = seed % 2 == 0 ? W13Layout::interleaved : W13Layout::concatenated;
    options.biases = seed % 3 == 0;
    options.shared = seed % 4 == 1 ? 2 : 0;
    options.remote = seed % 4 == 2;
    options.idle = seed % 5 == 0 ? 0.3 : 0.0;
    expect_reference<TypeParam>(options, seed, 5e-3);
  }
}

TYPED_TEST(Grouped, TakesWeightsOfEveryFloatingType) {
  for (const DType weight : {DType::bf16, DType::f16, DType::f32}) {
    for (const DType x : {DType::bf16, DType::f16, DType::f32}) {
      if (takes_only_bf16<TypeParam> && x != DType::bf16) continue;
      LayerOptions options{19, 70, 45, 4, 2};
      options.dtype = x;
      options.weight_dtype = weight;
      const bool exact = x == DType::f32 && weight == DType::f32;
      expect_reference<TypeParam>(options, 3, exact ? 1e-5 : 5e-3);
    }
  }
}

TYPED_TEST(Grouped, AppliesTheRouterWeightOnTheInput) {
  LayerOptions options{21, 64, 48, 3, 1};
  options.weight_on_input = true;
  options.biases = true;
  expect_reference<TypeParam>(options, 5, 5e-3);
}

TYPED_TEST(Grouped, AddsUpManyTokensWithinABoundedWorkspace) {
  // 37 MB of slots: sums instead. Of few experts, whose rows all workers share, and of many, each with a worker of its
  // own that holds second products back while those of other experts are missing.
  expect_reference<TypeParam>({1500, 768, 32, 8, 8}, 5, 5e-3);
  expect_reference<TypeParam>({1500, 768, 32, 100, 8}, 6, 5e-3);
}

TYPED_TEST(Grouped, KeepsANaNInItsToken) {
  LayerOptions options{40, 64, 48, 3, 2};
  RandomLayer made;
  make_layer(made, options, 11);
  const PackedWeights weights = pack<Modular<TypeParam>, quant::Unquantized>(made);
  const Tensor clean = run_modular<Modular<TypeParam>>(made, weights, 2, DType::bf16);
  made.x.set(13 * 64 + 5, std::numeric_limits<float>::quiet_NaN());
  made.x.set(14 * 64 + 5, std::numeric_limits<float>::infinity());
  const Tensor found = run_modular<Modular<TypeParam>>(made, weights, 2, DType::bf16);
  for (std::int64_t i = 0; i < found.count(); ++i) {
    if (i / 64 == 13) {
      EXPECT_TRUE(std::isnan(found[i]));
    } else if (i / 64 != 14) {
      EXPECT_EQ(found[i], clean[i]);
    }
  }
}

TYPED_TEST(Grouped, LeavesTokensWithoutExpertsAtZero) {
  LayerOptions options{70, 64, 48, 3, 2};
  options.idle = 1.0;
  options.biases = true;
  RandomLayer made;
  make_layer(made, options, 12);
  const PackedWeights weights = pack<Modular<TypeParam>, quant::Unquantized>(made);
  const Tensor found = run_modular<Modular<TypeParam>>(made, weights, 3, DType::bf16);
  for (std::int64_t i = 0; i < found.count(); ++i) EXPECT_EQ(found[i], 0.0F);
}

TYPED_TEST(Grouped, MayWriteOverItsInput) {
  for (const std::int64_t top_k : {1, 2}) {
    for (const std::int64_t tokens : {9, 1500}) {
      LayerOptions options{tokens, 768, 32, 8, top_k};
      RandomLayer made;
      make_layer(made, options, 12);
      using Experts = Modular<TypeParam>;
      const PackedWeights weights = pack<Experts, quant::Unquantized>(made);
      Tensor expected = run_modular<Experts>(made, weights, 2, DType::bf16);
      const Experts experts(weights, made.layer);
      const Workspace workspace(experts.workspace_size(made.tokens, 3));
      ThreadsExecutor executor{3};
      experts.apply(ModularArguments{made.x.mutable_tokens(), made.x.tokens(),
                                     MatrixView<const float>(made.weights.data(), tokens, top_k),
                                     MatrixView<const std::int32_t>(made.ids.data(), tokens, top_k)},
                    workspace.data(), executor);
      EXPECT_EQ(made.x.bytes(), expected.bytes());
    }
  }
}

TYPED_TEST(Grouped, ComputesBatches) {
  using Experts = experts::Grouped<ExpertsForm::batched, any_layer, quant::Unquantized, TypeParam>;
  using Reference = experts::Reference<ExpertsForm::batched, quant::Unquantized>;
  constexpr std::int64_t max_tokens = 40;
  LayerOptions options{4 * max_tokens, 70, 45, 4, 1};
  options.biases = true;
  RandomLayer made;
  make_layer(made, options, 3);
  const std::vector<std::int32_t> counts{0, 1, 40, 17};
  const auto run = [&]<class E>(const E& experts) {
    Tensor out(DType::f32, {made.tokens, made.shape.hidden_size});
    std::fill(out.bytes().begin(), out.bytes().end(), std::byte{0x42});
    const Workspace workspace(experts.workspace_size(made.tokens, 3));
    ThreadsExecutor executor{3};
    experts.apply(BatchedArguments{out.mutable_tokens(), made.x.tokens(), counts, max_tokens}, workspace.data(),
                  executor);
    return out;
  };
  const PackedWeights weights = pack<Experts, quant::Unquantized>(made);
  const PackedWeights judged = pack<Reference, quant::Unquantized>(made);
  EXPECT_LT(distance(run(Experts(weights, made.layer)), run(Reference(judged, made.layer))), 5e-3);
}

TYPED_TEST(Grouped, NeedsAWorkspaceThatGrowsWithTheTokens) {
  for (const LayerOptions& options : {LayerOptions{1, 256, 64, 8, 4}, LayerOptions{1, 64, 3000, 4, 2}}) {
    RandomLayer made;
    make_layer(made, options, 3);
    const PackedWeights weights = pack<Modular<TypeParam>, quant::Unquantized>(made);
    const Modular<TypeParam> experts(weights, made.layer);
    std::size_t last = 0;
    for (std::int64_t tokens = 1; tokens < 20000; tokens += 1 + tokens / 7) {
      EXPECT_GE(experts.workspace_size(tokens, 2), last);
      last = experts.workspace_size(tokens, 2);
    }
  }
}

}  // namespace
}  // namespace polymoe::test
