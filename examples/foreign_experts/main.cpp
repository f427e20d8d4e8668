// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// An engine on a GPU asks the oracle, and its own launcher answers: here a stand-in that runs anywhere.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "examples/foreign_experts/random_layer.hpp"
#include "examples/foreign_experts/stand_in.hpp"
#include "polymoe/polymoe.hpp"

namespace moe = polymoe;

constexpr moe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 256, .intermediate_size = 128};

using Kernel = moe::SelectKernel<layer, moe::quant::Unquantized, moe::target::hopper>;
static_assert(std::is_same_v<Kernel::backend, moe::backend::FlashInferCutlass>, "what vLLM takes on a Hopper");

using Judge = moe::PinKernel<layer, moe::quant::Unquantized, moe::backend::Reference, moe::target::portable>;

template <class K>
std::vector<float> run(const example::RandomLayer& random) {
  const moe::MoECheckpoint checkpoint = random.checkpoint();
  const auto weights = K::convert_to_kernel_format(checkpoint);
  const K kernel(weights, moe::oracle::Unquantized::make_quant_config(checkpoint));
  const moe::Workspace workspace(kernel.workspace_size(random.tokens));
  std::vector<float> out(static_cast<std::size_t>(random.tokens * random.hidden_size));
  kernel.apply(moe::MatrixView(out.data(), random.tokens, random.hidden_size),
               moe::MatrixView(random.hidden_states.data(), random.tokens, random.hidden_size),
               {random.topk_weights.data(), random.tokens, random.top_k},
               {random.topk_ids.data(), random.tokens, random.top_k}, workspace);
  return out;
}

int main() {
  std::fputs(to_string(moe::explanation<layer, moe::quant::Unquantized, moe::target::hopper>).c_str(), stdout);
  const example::RandomLayer random;
  const std::vector<float> ours = run<Kernel>(random);
  const std::vector<float> expected = run<Judge>(random);
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    worst = std::fmax(worst, std::fabs(static_cast<double>(ours[i]) - static_cast<double>(expected[i])));
  }
  std::printf("%d launch of the engine's kernel, greatest difference to the reference %g\n",
              engine::StandInExperts<moe::quant::Unquantized>::launches, worst);
  return worst < 1e-3 ? EXIT_SUCCESS : EXIT_FAILURE;
}
