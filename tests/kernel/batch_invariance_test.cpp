// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// numerics::BatchInvariant: a token's output is the same bits whatever else is in the batch.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "polymoe/config/numerics.hpp"
#include "polymoe/oracle/candidates/cpu_requirements.hpp"
#include "tests/kernel/kernel_case.hpp"

namespace polymoe::test {
namespace {

inline constexpr FusedMoEConfig invariant{.numerics = numerics::BatchInvariant{}};
using Invariant = SelectKernel<invariant, quant::Unquantized>;

/// So many tokens that their slots exceed what is kept of them: sums are kept instead.
inline constexpr LayerOptions large_batch{.tokens = 2000, .hidden = 512, .intermediate = 64, .experts = 16, .top_k = 8};

/// The layer's output for tokens [first, first + count) alone.
template <class Kernel>
std::vector<float> run_alone(const KernelCase<Kernel>& layer, std::int64_t first, std::int64_t count, int workers) {
  const std::int64_t hidden = layer.made.shape.hidden_size;
  const std::int64_t top_k = layer.made.shape.top_k;
  const TokensView all = layer.made.x.tokens();
  const TokensView tokens(all.row(first), all.dtype, count, hidden, all.stride);
  std::vector<float> out(static_cast<std::size_t>(count * hidden));
  const ThreadsExecutor executor{workers};
  const Workspace workspace(layer.kernel.workspace_size(count, workers));
  layer.kernel.apply(MutableTokensView(reinterpret_cast<std::byte*>(out.data()), DType::f32, count, hidden, hidden),
                     tokens, MatrixView<const float>(layer.made.weights.data() + first * top_k, count, top_k),
                     MatrixView<const std::int32_t>(layer.made.ids.data() + first * top_k, count, top_k), workspace,
                     executor);
  return out;
}

TEST(BatchInvariance, HoldsForEverySizeOfBatch) {
  const KernelCase<Invariant> layer(large_batch);
  const std::vector<float> whole = run_alone(layer, 0, large_batch.tokens, 2);
  for (const std::int64_t count : {1, 2, 7, 33, 150, 700}) {
    for (const std::int64_t first : {std::int64_t{0}, std::int64_t{991}, large_batch.tokens - count}) {
      SCOPED_TRACE(count);
      const std::vector<float> alone = run_alone(layer, first, count, 1);
      EXPECT_TRUE(std::equal(alone.begin(), alone.end(), whole.begin() + first * large_batch.hidden));
    }
  }
}

TEST(BatchInvariance, IsRefusedWhereTheBatchSharesAScale) {
  constexpr QuantKeys keys{quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor, ActivationMode::faithful};
  constexpr Target cpu{};
  constexpr Support refused = oracle::cpu_requirements(ExpertsForm::modular, invariant, keys, cpu);
  static_assert(refused.reason() == "the activation scale is of all tokens, and the config asks for batch invariance");
  static_assert(oracle::cpu_requirements(ExpertsForm::modular, FusedMoEConfig{}, keys, cpu));
  static_assert(oracle::cpu_requirements(ExpertsForm::modular, invariant, QuantKeys{}, cpu));
}

}  // namespace
}  // namespace polymoe::test
