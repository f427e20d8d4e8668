// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Router logits to ids and weights, on one core: the methods on the shapes of models that use them.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/routing/route.hpp"

namespace polymoe::bench {
namespace {

struct Case {
  RoutingMethod method;
  std::int64_t num_experts;
  std::int64_t top_k;
  RoutingParameters parameters{};
};

void route(benchmark::State& state, const Case& layer, std::int64_t tokens) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> logits(static_cast<std::size_t>(tokens * layer.num_experts));
  for (float& logit : logits) logit = normal(random);
  std::vector<float> weights(static_cast<std::size_t>(tokens * layer.top_k));
  std::vector<std::int32_t> ids(weights.size());
  const Workspace scratch(routing::routing_scratch_bytes(layer.num_experts));
  for (auto _ : state) {
    routing::route(layer.method, MatrixView<const float>(logits.data(), tokens, layer.num_experts), {},
                   layer.parameters, {ids.data(), tokens, layer.top_k}, {weights.data(), tokens, layer.top_k}, 0,
                   tokens, scratch.data());
    benchmark::ClobberMemory();
  }
  state.counters["tokens"] =
      benchmark::Counter(static_cast<double>(state.iterations() * tokens), benchmark::Counter::kIsRate);
}

void add_all() {
  RoutingParameters groups;
  groups.n_group = 8;
  groups.topk_group = 4;
  const Case cases[]{{RoutingMethod::renormalize, 128, 8},    {RoutingMethod::softmax, 64, 8},
                     {RoutingMethod::renormalize, 8, 2},      {RoutingMethod::topk, 32, 4},
                     {RoutingMethod::sigmoid_renorm, 128, 8}, {RoutingMethod::llama4, 16, 1},
                     {RoutingMethod::minimax2, 256, 8},       {RoutingMethod::deepseek_v3, 256, 8, groups},
                     {RoutingMethod::deepseek_v4, 256, 8},    {RoutingMethod::grouped_softmax, 160, 6, groups}};
  for (const Case& layer : cases) {
    for (const std::int64_t tokens : {1, 64, 4096}) {
      benchmark::RegisterBenchmark((std::string(name(layer.method)) + "/experts:" + std::to_string(layer.num_experts) +
                                    "/top_k:" + std::to_string(layer.top_k) + "/tokens:" + std::to_string(tokens))
                                       .c_str(),
                                   &route, layer, tokens);
    }
  }
}

}  // namespace
}  // namespace polymoe::bench

int main(int argc, char** argv) {
  polymoe::bench::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
