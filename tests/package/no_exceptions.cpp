// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "polymoe/polymoe.hpp"

#if defined(__cpp_exceptions)
#error "this file is compiled with -fno-exceptions"
#endif

namespace {

std::jmp_buf back;
std::string message;

[[noreturn]] void handle(const char* text) {
  message = text;
  std::longjmp(back, 1);
}

constexpr polymoe::FusedMoEConfig layer{.num_experts = 4, .top_k = 1, .hidden_size = 8, .intermediate_size = 8};
using Kernel = polymoe::PinKernel<layer, polymoe::quant::Unquantized, polymoe::backend::Reference>;

bool holds(const char* part) {
  if (message.find(part) != std::string::npos) return true;
  std::printf("FAILED: the handler got \"%s\", expected \"%s\" in it\n", message.c_str(), part);
  return false;
}

}  // namespace

int main() {
  polymoe::set_error_handler(&handle);
  const std::vector<float> w13(4 * 16 * 8, 0.25F);
  const std::vector<float> w2(4 * 8 * 8, 0.25F);
  const polymoe::MoECheckpoint checkpoint{.w13 = {.weight = polymoe::tensor_view(w13.data(), {4, 16, 8})},
                                          .w2 = {.weight = polymoe::tensor_view(w2.data(), {4, 8, 8})}};
  const polymoe::PackedWeights weights = Kernel::convert_to_kernel_format(checkpoint);
  const Kernel kernel(weights, polymoe::oracle::Unquantized::make_quant_config(checkpoint));
  const polymoe::Workspace workspace(kernel.workspace_size(2));
  const std::vector<polymoe::bf16> in(2 * 8, polymoe::bf16(1.0F));
  const std::vector<float> topk_weights{1, 1};
  std::vector<std::int32_t> topk_ids{0, 4};  // there is no expert 4
  std::vector<polymoe::bf16> out(2 * 8, polymoe::bf16(7.0F));
  const std::vector<polymoe::bf16> before = out;
  const auto apply = [&] {
    kernel.apply(polymoe::MatrixView(out.data(), 2, 8), polymoe::MatrixView(in.data(), 2, 8),
                 {topk_weights.data(), 2, 1}, {topk_ids.data(), 2, 1}, workspace);
  };
  if (setjmp(back) == 0) {
    apply();
    std::printf("FAILED: an id out of range was accepted\n");
    return 1;
  }
  if (!holds("topk_ids") || !holds("found 4 at [1, 0]")) return 1;
  if (std::memcmp(out.data(), before.data(), out.size() * sizeof out[0]) != 0) {
    std::printf("FAILED: the output was touched\n");
    return 1;
  }
  topk_ids[1] = 3;
  apply();
  return std::memcmp(out.data(), before.data(), out.size() * sizeof out[0]) == 0 ? 1 : 0;
}
