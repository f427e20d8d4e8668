// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// An engine on a GPU asks the oracle, and its own launcher answers: here a stand-in that runs anywhere.

#include <cstdio>
#include <cstdlib>
#include <type_traits>

#include "examples/foreign_experts/compare.hpp"
#include "examples/foreign_experts/stand_in.hpp"
#include "polymoe/polymoe.hpp"

namespace moe = polymoe;

using Kernel = moe::SelectKernel<example::layer, moe::quant::Unquantized, moe::target::hopper>;
static_assert(std::is_same_v<Kernel::backend, moe::backend::FlashInferCutlass>, "what vLLM takes on a Hopper");

int main() {
  moe::explain<example::layer, moe::quant::Unquantized, moe::target::hopper>();
  const double difference = example::greatest_difference<Kernel>();
  std::printf("%d launch of the engine's kernel, greatest difference to the reference %g\n",
              engine::StandInExperts<moe::quant::Unquantized>::launches, difference);
  return difference < 1e-3 ? EXIT_SUCCESS : EXIT_FAILURE;
}
