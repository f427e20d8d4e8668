// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cmath>
#include <vector>

#include "examples/foreign_experts/random_layer.hpp"
#include "polymoe/polymoe.hpp"

namespace example {

namespace moe = polymoe;

inline constexpr moe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 256, .intermediate_size = 128};

/// What judges the engine's launchers.
using Judge = moe::PinKernel<layer, moe::quant::Unquantized, moe::backend::Reference, moe::target::portable>;

template <class Kernel>
std::vector<float> run(const RandomLayer& random) {
  const moe::MoECheckpoint checkpoint = random.checkpoint();
  const auto weights = Kernel::convert_to_kernel_format(checkpoint);
  const Kernel kernel(weights, moe::oracle::Unquantized::make_quant_config(checkpoint));
  const moe::Workspace workspace(kernel.workspace_size(random.tokens));
  std::vector<float> out(static_cast<std::size_t>(random.tokens * random.hidden_size));
  kernel.apply(moe::MatrixView(out.data(), random.tokens, random.hidden_size),
               moe::MatrixView(random.hidden_states.data(), random.tokens, random.hidden_size),
               {random.topk_weights.data(), random.tokens, random.top_k},
               {random.topk_ids.data(), random.tokens, random.top_k}, workspace);
  return out;
}

/// How far a kernel is from the reference on random weights.
template <class Kernel>
double greatest_difference() {
  const RandomLayer random;
  const std::vector<float> ours = run<Kernel>(random);
  const std::vector<float> expected = run<Judge>(random);
  double worst = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    worst = std::fmax(worst, std::fabs(static_cast<double>(ours[i]) - static_cast<double>(expected[i])));
  }
  return worst;
}

}  // namespace example
