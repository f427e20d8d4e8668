#include "engine.hpp"

#include <polymoe/polymoe.hpp>
#include <polymoe/target/dispatch.hpp>

template <polymoe::CpuFeatures level>
const char* backend_name() {
  constexpr polymoe::FusedMoEConfig layer{.num_experts = 8, .top_k = 2, .hidden_size = 256, .intermediate_size = 128};
  using Kernel = polymoe::SelectKernel<layer, polymoe::quant::Unquantized>;
  return Kernel::backend::name().data();
}

template const char* backend_name<polymoe::target::native_level>();
