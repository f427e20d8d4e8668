// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// The same layer gives the same bits whoever runs it and however much of it the compiler knew; and ways of computing
// one thing that may round differently agree.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "polymoe/execution/openmp_executor.hpp"
#include "polymoe/prepare_finalize/batched.hpp"
#include "polymoe/routing/route.hpp"
#include "tests/kernel/kernel_case.hpp"

namespace polymoe::test {
namespace {

using Modular = SelectKernel<modular_config, quant::Unquantized>;

constexpr LayerOptions layers[] = {{1, 64, 48, 4, 2}, {17, 64, 48, 4, 2}, {150, 64, 48, 4, 2}};

/// Pretends to have workers, and lets them take turns on one thread, backwards.
struct TurnsExecutor {
  int workers = 1;

  int concurrency() const { return workers; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    for (std::int64_t index = count; index-- > 0;) f(index, static_cast<int>(index % workers));
  }
};

TEST(Determinism, HoldsForEveryExecutor) {
  for (const LayerOptions& options : layers) {
    const KernelCase<Modular> made(options);
    Tensor expected = made.run();
    for (const int workers : {1, 2, 3, 5}) {
      SCOPED_TRACE(workers);
      EXPECT_EQ(made.run(TurnsExecutor{workers}).bytes(), expected.bytes());
      EXPECT_EQ(made.run(ThreadsExecutor{workers}).bytes(), expected.bytes());
#if defined(_OPENMP)
      if (workers <= 3) {
        EXPECT_EQ(made.run(OpenMpExecutor(workers)).bytes(), expected.bytes());
      }
#endif
    }
  }
}

TEST(Determinism, HoldsForStaticAndDynamicExtents) {
  constexpr FusedMoEConfig fixed{.num_experts = 4, .top_k = 2, .hidden_size = 64, .intermediate_size = 48};
  using Static = SelectKernel<fixed, quant::Unquantized>;
  for (const LayerOptions& options : layers) {
    EXPECT_EQ(KernelCase<Static>(options).run().bytes(), KernelCase<Modular>(options).run().bytes());
  }
}

TEST(Determinism, HoldsForAnOutputInPlaceOfTheInput) {
  for (const LayerOptions& options : layers) {
    KernelCase<Modular> made(options);
    Tensor expected = made.run(TurnsExecutor{2}, DType::bf16);
    const Workspace workspace(made.kernel.workspace_size(options.tokens, 2));
    made.kernel.apply(made.made.x.mutable_tokens(), made.made.x.tokens(), made.topk_weights(), made.topk_ids(),
                      workspace, TurnsExecutor{2});
    EXPECT_EQ(made.made.x.bytes(), expected.bytes());
  }
}

TEST(Determinism, HoldsForRoutingInsideAndOutside) {
  using Monolithic = SelectKernel<monolithic_config, quant::Unquantized>;
  for (const LayerOptions& options : layers) {
    const KernelCase<Monolithic> whole(options);
    Tensor logits(DType::f32, {options.tokens, options.experts});
    std::mt19937 random(3);
    logits.fill(random, 1.0F);
    Tensor out(DType::f32, {options.tokens, options.hidden});
    std::vector<float> weights(whole.made.weights.size());
    std::vector<std::int32_t> ids(whole.made.ids.size());
    const Workspace workspace(whole.kernel.workspace_size(options.tokens));
    whole.kernel.apply(out.mutable_tokens(), whole.made.x.tokens(), logits.tokens(),
                       MatrixView<float>(weights.data(), options.tokens, options.top_k),
                       MatrixView<std::int32_t>(ids.data(), options.tokens, options.top_k), workspace);

    KernelCase<Modular> parts(options);
    const Workspace scratch(routing::routing_scratch_bytes(options.experts));
    ASSERT_TRUE(routing::route(RoutingMethod::renormalize, logits.tokens(), {}, {},
                               MatrixView<std::int32_t>(parts.made.ids.data(), options.tokens, options.top_k),
                               MatrixView<float>(parts.made.weights.data(), options.tokens, options.top_k), 0,
                               options.tokens, scratch.data()));
    EXPECT_EQ(parts.made.ids, ids);
    EXPECT_EQ(parts.made.weights, weights);
    EXPECT_EQ(parts.run().bytes(), out.bytes());
  }
}

TEST(Agreement, OfBatchesWithTokensInPlace) {
  using Batches = SelectKernel<modular_config, quant::Unquantized, target::native, prepare_finalize::Batched>;
  for (const LayerOptions& options : layers) {
    EXPECT_LT(distance(KernelCase<Batches>(options).run(ThreadsExecutor{2}), KernelCase<Modular>(options).run()), 1e-6);
  }
}

TEST(Agreement, OfSharedExpertsWithExpertsOfWeightOne) {
  constexpr FusedMoEConfig with_shared{.num_shared_experts = 1};
  using Shared = SelectKernel<with_shared, quant::Unquantized>;
  for (LayerOptions options : layers) {
    options.shared = 1;
    const KernelCase<Shared> shared(options);
    // The same weights, with the shared expert as expert E that every token names in an additional slot.
    RandomLayer appended;
    make_layer(appended, options, 1);
    const std::int64_t top_k = options.top_k + 1;
    std::vector<float> weights;
    std::vector<std::int32_t> ids;
    for (std::int64_t slot = 0; slot < options.tokens * options.top_k; ++slot) {
      weights.push_back(appended.weights[static_cast<std::size_t>(slot)]);
      ids.push_back(appended.ids[static_cast<std::size_t>(slot)]);
      if (slot % options.top_k != options.top_k - 1) continue;
      weights.push_back(1.0F);
      ids.push_back(static_cast<std::int32_t>(options.experts));
    }
    const PackedWeights packed = Modular::convert_to_kernel_format(appended.checkpoint);
    const Modular kernel(packed, QuantConfig{}, {.num_experts = options.experts + 1, .top_k = top_k});
    const Workspace workspace(kernel.workspace_size(options.tokens));
    Tensor out(DType::f32, {options.tokens, options.hidden});
    kernel.apply(out.mutable_tokens(), appended.x.tokens(),
                 MatrixView<const float>(weights.data(), options.tokens, top_k),
                 MatrixView<const std::int32_t>(ids.data(), options.tokens, top_k), workspace);
    EXPECT_LT(distance(shared.run(), out), 1e-6);
  }
}

TEST(Agreement, OfTwoRanksWithTheWhole) {
  for (const LayerOptions& options : layers) {
    const KernelCase<Modular> whole(options);
    const std::vector<std::int32_t> maps[] = {{0, 1, -1, -1}, {-1, -1, 0, 1}};
    Tensor sum(DType::f32, {options.tokens, options.hidden});
    for (std::int64_t rank = 0; rank < 2; ++rank) {
      const PackedWeights packed = Modular::convert_to_kernel_format(slice(whole.local(), 2 * rank, 2));
      const Modular kernel(
          packed, QuantConfig{},
          {.num_experts = options.experts, .top_k = options.top_k, .expert_map = maps[static_cast<std::size_t>(rank)]});
      const Workspace workspace(kernel.workspace_size(options.tokens));
      Tensor out(DType::f32, {options.tokens, options.hidden});
      kernel.apply(out.mutable_tokens(), whole.made.x.tokens(), whole.topk_weights(), whole.topk_ids(), workspace);
      for (std::int64_t i = 0; i < out.count(); ++i) sum.set(i, sum[i] + out[i]);
    }
    EXPECT_LT(distance(sum, whole.run()), 1e-6);
  }
}

}  // namespace
}  // namespace polymoe::test
