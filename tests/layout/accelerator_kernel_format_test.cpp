// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/layout/accelerator/kernel_format.hpp"
#include "polymoe/oracle/vllm/backends.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"

namespace polymoe {
namespace {

using namespace layout::accelerator;

std::vector<std::byte> counted_bytes(std::int64_t count) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
  return bytes;
}

TensorView tensor(const std::vector<std::byte>& bytes, DType dtype, std::int64_t rows, std::int64_t columns) {
  return {.data = bytes.data(), .dtype = dtype, .shape = {rows, columns}, .rank = 2};
}

TEST(AcceleratorKernelFormat, AnExpertOfBf16IsInTrtLlmsOrder) {
  using Format = KernelFormat<backend::FlashInferTrtLlm, quant::Unquantized, target::blackwell>;
  const LayerShape shape{.num_experts = 1, .num_local_experts = 1, .hidden_size = 128, .intermediate_size = 64};
  const std::vector<std::byte> w13 = counted_bytes(128 * 128 * 2);
  const std::vector<std::byte> w2 = counted_bytes(128 * 64 * 2);
  quant::ExpertCheckpoint checkpoint;
  checkpoint.w13.tensors.weight = tensor(w13, DType::bf16, 128, 128);
  checkpoint.w2.tensors.weight = tensor(w2, DType::bf16, 128, 64);
  const Storage storage{};
  ASSERT_EQ(Format::expert_bytes(shape, storage), 128U * 128 * 2 + 128U * 64 * 2);
  std::vector<std::byte> packed(Format::expert_bytes(shape, storage));
  SerialExecutor executor;
  Format::pack_expert(packed.data(), checkpoint, shape, storage, executor);

  for (std::int64_t row = 0; row < 128; ++row) {
    // The checkpoint's row: gate i stands at i, up i at 64 + i. The kernel's: up i at 2i, gate i at 2i + 1, then blocks
    // of 32 rows in which r becomes r % 4 * 8 + r / 4. Columns in blocks of 64 numbers, all rows of a block together.
    const std::int64_t paired = row < 64 ? 2 * row + 1 : 2 * (row - 64);
    const std::int64_t to = paired / 32 * 32 + paired % 4 * 8 + paired % 32 / 4;
    for (std::int64_t byte = 0; byte < 256; ++byte) {
      EXPECT_EQ(packed[static_cast<std::size_t>(byte / 128 * 128 * 128 + to * 128 + byte % 128)],
                w13[static_cast<std::size_t>(row * 256 + byte)]);
    }
  }
}

TEST(AcceleratorKernelFormat, SizesOfMxfp4ArePaddedWithZerosBeforeTheTilesAreMade) {
  using Format = KernelFormat<backend::Marlin, quant::Mxfp4, target::hopper>;
  const LayerShape shape{.num_experts = 1, .num_local_experts = 1, .hidden_size = 64, .intermediate_size = 96};
  const std::vector<std::byte> w13 = counted_bytes(192 * 32);
  const std::vector<std::byte> w2 = counted_bytes(64 * 48);
  const std::vector<std::byte> w13_scale = counted_bytes(192 * 2);
  const std::vector<std::byte> w2_scale = counted_bytes(64 * 3);
  quant::ExpertCheckpoint checkpoint;
  checkpoint.w13.tensors.weight = tensor(w13, DType::u8, 192, 32);
  checkpoint.w13.tensors.weight_scale = tensor(w13_scale, DType::u8, 192, 2);
  checkpoint.w2.tensors.weight = tensor(w2, DType::u8, 64, 48);
  checkpoint.w2.tensors.weight_scale = tensor(w2_scale, DType::u8, 64, 3);
  const Storage storage{.weight = DType::u8, .w2_weight = DType::u8, .scale = DType::u8};
  const Format::Offsets at = Format::offsets(shape, storage);
  EXPECT_EQ(at[1], 2U * 128 * 256 / 2) << "2 x 128 rows of 256 values";
  EXPECT_EQ(at[2] - at[1], 256U * 128 / 2);
  EXPECT_EQ(at[3] - at[2], 256U * 8);

  std::vector<std::byte> packed(Format::expert_bytes(shape, storage));
  SerialExecutor executor;
  Format::pack_expert(packed.data(), checkpoint, shape, storage, executor);
  const std::vector<std::byte> back = restore(Format::format.w13, {256, 128}, packed.data(), executor);
  const std::vector<std::byte> scales = restore(Format::format.w13_scale, {256, 8}, packed.data() + at[2], executor);
  for (std::int64_t row = 0; row < 256; ++row) {
    const bool there = row % 128 < 96;
    const std::int64_t from = row / 128 * 96 + row % 128;
    for (std::int64_t byte = 0; byte < 128; ++byte) {
      const bool kept = there && byte < 32;
      EXPECT_EQ(back[static_cast<std::size_t>(row * 128 + byte)],
                kept ? w13[static_cast<std::size_t>(from * 32 + byte)] : std::byte{});
    }
    for (std::int64_t group = 0; group < 8; ++group) {
      const bool kept = there && group < 2;
      EXPECT_EQ(scales[static_cast<std::size_t>(row * 8 + group)],
                kept ? w13_scale[static_cast<std::size_t>(from * 2 + group)] : std::byte{});
    }
  }
}

}  // namespace
}  // namespace polymoe
