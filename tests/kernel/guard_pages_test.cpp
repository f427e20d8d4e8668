// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// A kernel reads and writes what it was given, and nothing beside it: every buffer borders on a page that faults,
// inputs cannot be written, and what lies between the rows of the output stays.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/kernel/kernel_case.hpp"
#include "tests/support/guarded.hpp"

namespace polymoe::test {
namespace {

using Side = Guarded::Side;
using Kernel = SelectKernel<modular_config, quant::Unquantized>;

/// Rows that lie `stride` apart, the last one without what would follow it.
class GuardedRows {
 public:
  GuardedRows(std::size_t element, std::int64_t rows, std::int64_t columns, std::int64_t gap, Side side,
              std::size_t offset = 0)
      : element_(element),
        rows_(rows),
        columns_(columns),
        stride_(columns + gap),
        memory_(static_cast<std::size_t>((rows - 1) * stride_ + columns) * element, side, offset) {}

  void fill(const void* dense) {
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::memcpy(row(r), static_cast<const std::byte*>(dense) + r * row_bytes(),
                  static_cast<std::size_t>(row_bytes()));
    }
    memory_.make_read_only();
  }

  std::byte* row(std::int64_t r) const { return memory_.data() + r * stride_ * static_cast<std::int64_t>(element_); }
  std::int64_t row_bytes() const { return columns_ * static_cast<std::int64_t>(element_); }
  std::int64_t stride() const { return stride_; }

  bool gaps_are_untouched() const {
    for (std::int64_t r = 0; r + 1 < rows_; ++r) {
      if (std::any_of(row(r) + row_bytes(), row(r + 1), [](std::byte b) { return b != std::byte{0xFF}; })) return false;
    }
    return true;
  }

  template <class T>
  MatrixView<T> matrix() const {
    return {reinterpret_cast<T*>(memory_.data()), rows_, columns_, stride_};
  }
  MutableTokensView tokens(DType dtype) const { return {memory_.data(), dtype, rows_, columns_, stride_}; }

 private:
  std::size_t element_;
  std::int64_t rows_, columns_, stride_;
  Guarded memory_;
};

/// A checkpoint's tensor between guard pages.
Guarded guard(TensorView& tensor, Side side) {
  Guarded memory(tensor.data, tensor.bytes(), side);
  memory.make_read_only();
  tensor.data = memory.data();
  return memory;
}

struct Placement {
  Side side;
  std::int64_t gap;    ///< elements between rows
  std::size_t offset;  ///< bytes by which tokens are not aligned
};

constexpr Placement placements[] = {
    {Side::end, 0, 0}, {Side::begin, 0, 0}, {Side::end, 5, 0}, {Side::begin, 3, 1}, {Side::end, 0, 1}};

void expect_bounds_kept(const LayerOptions& options, const Placement& where, int threads, DType out_dtype) {
  const KernelCase<Kernel> plain(options, 3);
  const RandomLayer& made = plain.made;
  SCOPED_TRACE(made.describe() + " gap " + std::to_string(where.gap) + " offset " + std::to_string(where.offset) +
               (where.side == Side::end ? " at the end" : " at the beginning"));
  const Tensor expected = plain.run(ThreadsExecutor{threads}, out_dtype);

  MoECheckpoint checkpoint = plain.local();
  const Guarded w13 = guard(checkpoint.w13.weight, where.side);
  const Guarded w2 = guard(checkpoint.w2.weight, where.side);
  const PackedWeights packed = Kernel::convert_to_kernel_format(checkpoint);
  ASSERT_EQ(std::memcmp(packed.view().data(), plain.weights.view().data(), packed.view().size()), 0);
  Guarded weights(packed.view().data(), packed.view().size(), where.side);
  weights.make_read_only();
  const Kernel kernel(PackedWeightsView(weights.data()), QuantConfig{}, parameters_of(made));

  const std::int64_t hidden = made.shape.hidden_size;
  const std::int64_t top_k = made.shape.top_k;
  GuardedRows x(2, made.tokens, hidden, where.gap, where.side, where.offset);
  GuardedRows out(size_of(out_dtype), made.tokens, hidden, where.gap, where.side, where.offset);
  GuardedRows topk_weights(4, made.tokens, top_k, where.gap, where.side);
  GuardedRows topk_ids(4, made.tokens, top_k, where.gap, where.side);
  x.fill(made.x.view().data);
  topk_weights.fill(made.weights.data());
  topk_ids.fill(made.ids.data());
  const Guarded workspace(kernel.workspace_size(made.tokens, threads), where.side);
  kernel.apply(out.tokens(out_dtype), x.tokens(DType::bf16), topk_weights.matrix<const float>(),
               topk_ids.matrix<const std::int32_t>(), WorkspaceView(workspace.data(), workspace.size()),
               ThreadsExecutor{threads});

  EXPECT_TRUE(out.gaps_are_untouched());
  // The output was NaNs before: what is equal was written.
  for (std::int64_t t = 0; t < made.tokens; ++t) {
    const std::byte* const row = expected.view().data + t * out.row_bytes();
    EXPECT_EQ(std::memcmp(out.row(t), row, static_cast<std::size_t>(out.row_bytes())), 0) << "token " << t;
  }
  for (std::int64_t i = 0; i < expected.count(); ++i) ASSERT_TRUE(std::isfinite(expected[i])) << i;
}

TEST(GuardPages, AreNotTouchedByModularKernels) {
  for (const std::int64_t tokens : {1, 5, 17, 33}) {
    for (const Placement& where : placements) {
      expect_bounds_kept({tokens, 37, 52, 4, 3}, where, 1, DType::f32);
      expect_bounds_kept({tokens, 37, 52, 4, 3}, where, 3, DType::bf16);
    }
  }
}

TEST(GuardPages, AreNotTouchedByShapesThatFillRegisters) {
  for (const Placement& where : placements) {
    expect_bounds_kept({33, 128, 64, 4, 2}, where, 2, DType::f16);
    expect_bounds_kept({17, 1, 1, 2, 1}, where, 2, DType::f32);
  }
}

TEST(GuardPages, AreNotTouchedByMonolithicKernels) {
  using Routing = SelectKernel<monolithic_config, quant::Unquantized>;
  for (const std::int64_t experts : {3, 4, 19}) {
    for (const std::int64_t tokens : {1, 5, 33}) {
      for (const Placement& where : placements) {
        const KernelCase<Routing> made({tokens, 37, 52, experts, 3}, 5);
        Tensor router(DType::f32, {tokens, experts});
        std::mt19937 random(7);
        router.fill(random, 1.0F);
        GuardedRows x(2, tokens, 37, where.gap, where.side, where.offset);
        GuardedRows logits(4, tokens, experts, where.gap, where.side, where.offset);
        GuardedRows out(4, tokens, 37, where.gap, where.side, where.offset);
        GuardedRows weights(4, tokens, 3, where.gap, where.side);
        GuardedRows ids(4, tokens, 3, where.gap, where.side);
        x.fill(made.made.x.view().data);
        logits.fill(router.view().data);
        const Guarded workspace(made.kernel.workspace_size(tokens, 2), where.side);
        made.kernel.apply(out.tokens(DType::f32), x.tokens(DType::bf16), logits.tokens(DType::f32),
                          weights.matrix<float>(), ids.matrix<std::int32_t>(),
                          WorkspaceView(workspace.data(), workspace.size()), ThreadsExecutor{2});
        EXPECT_TRUE(out.gaps_are_untouched() && weights.gaps_are_untouched() && ids.gaps_are_untouched());
        for (std::int64_t t = 0; t < tokens; ++t) {
          for (std::int64_t h = 0; h < 37; ++h) {
            ASSERT_TRUE(std::isfinite(load_as_float(out.row(t), DType::f32, h))) << t << ' ' << h;
          }
          for (std::int64_t j = 0; j < 3; ++j) {
            const std::int32_t id = ids.matrix<std::int32_t>().row(t)[j];
            ASSERT_TRUE(id >= 0 && id < experts) << id;
            ASSERT_TRUE(std::isfinite(weights.matrix<float>().row(t)[j]));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace polymoe::test
