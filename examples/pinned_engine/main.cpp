// An engine that relies on one backend and says so: if a change of compiler flags, of the layer or of the library made
// the oracle choose another one, this file would no longer compile, and the error would say why.
#include <cstdio>
#include <polymoe/polymoe.hpp>
#include <type_traits>

namespace moe = polymoe;

// Qwen3-30B-A3B's layer. The number of tokens is the only size that is left to run time.
constexpr moe::FusedMoEConfig qwen3{.num_experts = 128,
                                    .top_k = 8,
                                    .hidden_size = 2048,
                                    .intermediate_size = 768,
                                    .activation = moe::Activation::silu,
                                    .routing = moe::RoutingMethod::renormalize};

// What the engine is deployed on is part of the engine, not of the machine that happens to build it.
constexpr moe::Target deployment = moe::target::sapphire_rapids;
using Selected = moe::oracle::Unquantized::select_backend<qwen3, deployment>;
static_assert(std::is_same_v<Selected::backend, moe::backend::AmxBf16>);

// The same engine with fp32 activations may not run on bf16 tiles, and the library tells why.
constexpr moe::FusedMoEConfig qwen3_f32 = [] {
  moe::FusedMoEConfig config = qwen3;
  config.in_dtype = moe::DType::f32;
  return config;
}();
static_assert(moe::refusal<moe::backend::AmxBf16, qwen3_f32, moe::quant::Unquantized, deployment> ==
              "activations are not bf16, and AMX would round them");

// A backend named by the engine instead of the oracle: the judge, which runs everywhere.
using Judge = moe::PinKernel<qwen3, moe::quant::Unquantized, moe::backend::Reference>;
static_assert(std::is_same_v<decltype(moe::oracle::Unquantized::map_backend<"reference">()), Judge::backend>);

int main() {
  std::printf("on the deployment target:\n");
  moe::explain<qwen3, moe::quant::Unquantized, deployment>();
  std::printf("\nfor what this program was compiled for:\n");
  moe::explain<qwen3, moe::quant::Unquantized>();
}
