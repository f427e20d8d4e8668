// Compiled once for each instruction set. In each build the oracle selects another kernel.
#include "examples/multiarch/engine.hpp"

#include <array>
#include <cstddef>
#include <polymoe/polymoe.hpp>
#include <polymoe/target/dispatch.hpp>
#include <vector>

namespace moe = polymoe;

template <moe::CpuFeatures level>
const char* run_layer(float* out) {
  constexpr moe::FusedMoEConfig layer{.num_experts = 4, .top_k = 2, .hidden_size = 256, .intermediate_size = 64};
  using Kernel = moe::SelectKernel<layer, moe::quant::Unquantized>;

  std::vector<moe::bf16> w13(4 * 2 * 64 * 256), w2(4 * 256 * 64), hidden_states(256);
  const auto fill = [](std::vector<moe::bf16>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = moe::bf16(static_cast<float>(i % 17) / 64.0F - 0.125F);
    }
  };
  fill(w13);
  fill(w2);
  fill(hidden_states);
  const moe::MoECheckpoint checkpoint{.w13 = {.weight = moe::tensor_view(w13.data(), {4, 2 * 64, 256})},
                                      .w2 = {.weight = moe::tensor_view(w2.data(), {4, 256, 64})}};
  const auto weights = Kernel::convert_to_kernel_format(checkpoint);
  const Kernel kernel(weights, moe::oracle::Unquantized::make_quant_config(checkpoint));
  const moe::Workspace workspace(kernel.workspace_size(1));
  const std::array<float, 2> topk_weights{0.75F, 0.25F};
  const std::array<std::int32_t, 2> topk_ids{3, 1};
  kernel.apply(moe::MatrixView(out, 1, 256), moe::MatrixView(hidden_states.data(), 1, 256), {topk_weights.data(), 1, 2},
               {topk_ids.data(), 1, 2}, workspace);
  return Kernel::backend::name().data();
}

template const char* run_layer<moe::target::native_level>(float* out);
