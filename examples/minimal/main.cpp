// The bare library on random weights: select a kernel, pack the weights, run one batch of tokens.
#include <algorithm>
#include <cstdio>
#include <polymoe/polymoe.hpp>
#include <random>
#include <vector>

namespace moe = polymoe;

constexpr moe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 256, .intermediate_size = 128};
using Kernel = moe::SelectKernel<layer, moe::quant::Unquantized>;

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 0.05F);
  const auto tensor = [&](auto... shape) {
    std::vector<moe::bf16> values(static_cast<std::size_t>((shape * ...)));
    std::generate(values.begin(), values.end(), [&] { return moe::bf16(normal(random)); });
    return values;
  };
  const auto w13 = tensor(8, 2 * 128, 256), w2 = tensor(8, 256, 128), hidden_states = tensor(4, 256);
  const moe::MoECheckpoint checkpoint{.w13 = {.weight = moe::tensor_view(w13.data(), {8, 2 * 128, 256})},
                                      .w2 = {.weight = moe::tensor_view(w2.data(), {8, 256, 128})}};

  const auto weights = Kernel::convert_to_kernel_format(checkpoint);
  const Kernel kernel(weights, moe::oracle::Unquantized::make_quant_config(checkpoint));
  const moe::Workspace workspace(kernel.workspace_size(/*max_tokens=*/4));

  const std::vector<float> topk_weights{0.7F, 0.3F, 0.5F, 0.5F, 0.9F, 0.1F, 0.6F, 0.4F};
  const std::vector<std::int32_t> topk_ids{0, 3, 1, 2, 7, 4, 5, 6};
  std::vector<moe::bf16> out(4 * 256);
  kernel.apply(moe::MatrixView(out.data(), 4, 256), moe::MatrixView(hidden_states.data(), 4, 256),
               {topk_weights.data(), 4, 2}, {topk_ids.data(), 4, 2}, workspace);

  std::printf("backend %s, out[0][0] = %g\n", Kernel::backend::name().data(), static_cast<double>(float(out[0])));
}
