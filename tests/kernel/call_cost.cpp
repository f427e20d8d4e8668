// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Runs one small layer, `kernel` through FusedMoEKernel or `experts` straight through its experts class. Valgrind
// counts the instructions of the call (callgrind.sh).

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "polymoe/experts/grouped.hpp"
#include "polymoe/kernel/select_kernel.hpp"

namespace {

using namespace polymoe;

constexpr std::int64_t tokens = 64, hidden = 256, intermediate = 128, num_experts = 8, top_k = 2;
constexpr FusedMoEConfig config{};
using Kernel = SelectKernel<config, quant::Unquantized>;

struct Arguments {
  MutableTokensView out;
  TokensView hidden_states;
  MatrixView<const float> topk_weights;
  MatrixView<const std::int32_t> topk_ids;
  const Workspace& workspace;
};

}  // namespace

// Functions of known names, for --toggle-collect.
extern "C" {

[[gnu::noinline]] void call_through_kernel(const Kernel& kernel, const Arguments& arguments) {
  kernel.apply(arguments.out, arguments.hidden_states, arguments.topk_weights, arguments.topk_ids, arguments.workspace);
}

[[gnu::noinline]] void call_experts(const Kernel::experts& direct, const Arguments& arguments) {
  SerialExecutor executor;
  direct.apply(ModularArguments{arguments.out, arguments.hidden_states, arguments.topk_weights, arguments.topk_ids},
               arguments.workspace.data(), executor);
}
}

int main(int count, char** words) {
  const std::string_view way = count == 2 ? words[1] : "";
  if (way != "kernel" && way != "experts") return 2;
  const auto matrix = [](std::int64_t elements) {
    std::vector<bf16> values(static_cast<std::size_t>(elements));
    std::uint32_t state = 1;
    for (bf16& value : values) {
      state = state * 1664525U + 1013904223U;
      const float uniform = static_cast<float>(state >> 8) / 16777216.0F - 0.5F;
      store_from_float(reinterpret_cast<std::byte*>(&value), DType::bf16, 0, uniform);
    }
    return values;
  };
  const std::vector<bf16> w13 = matrix(num_experts * 2 * intermediate * hidden);
  const std::vector<bf16> w2 = matrix(num_experts * hidden * intermediate);
  const std::vector<bf16> x = matrix(tokens * hidden);
  std::vector<bf16> out(x.size());
  std::vector<float> weights(static_cast<std::size_t>(tokens * top_k), 0.5F);
  std::vector<std::int32_t> ids(weights.size());
  for (std::size_t slot = 0; slot < ids.size(); ++slot) ids[slot] = static_cast<std::int32_t>(slot * 3 % num_experts);

  MoECheckpoint checkpoint;
  checkpoint.w13.weight = tensor_view(w13.data(), {num_experts, 2 * intermediate, hidden});
  checkpoint.w2.weight = tensor_view(w2.data(), {num_experts, hidden, intermediate});
  const PackedWeights packed = Kernel::convert_to_kernel_format(checkpoint);
  const Kernel kernel(packed, QuantConfig{}, {.num_experts = num_experts, .top_k = top_k});
  const Kernel::experts direct(packed, kernel.layer());
  const Workspace workspace(kernel.workspace_size(tokens));
  const Arguments arguments{MatrixView<bf16>(out.data(), tokens, hidden),
                            MatrixView<const bf16>(x.data(), tokens, hidden),
                            {weights.data(), tokens, top_k},
                            {ids.data(), tokens, top_k},
                            workspace};
  if (way == "kernel") {
    call_through_kernel(kernel, arguments);
  } else {
    call_experts(direct, arguments);
  }
  std::printf("%s\n", std::string(Kernel::backend::name()).c_str());
}
