// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// The innermost loops alone, on one core: products of weights that are in L2, and of weights that stream from memory.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <xsimd/xsimd.hpp>

#include "bench/support/random_bits.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/microkernel/microkernels.hpp"
#include "polymoe/target/detect.hpp"

namespace polymoe::bench {
namespace {

using microkernel::Block;
using microkernel::row_step_bytes;
using microkernel::weight_step_bytes;

/// Bytes that are small numbers in every element type.
Workspace random_bytes(std::size_t bytes) {
  Workspace memory(bytes);
  fill_random(reinterpret_cast<std::uint16_t*>(memory.data()), bytes / 2, 3, small_bf16);
  return memory;
}

/// One panel of `steps` K steps times `rows` rows, panel after panel.
template <class Microkernel>
void multiply(benchmark::State& state, std::int64_t rows, std::int64_t steps, std::int64_t panels) {
  const microkernel::RowBlocks blocks(rows);
  const std::int64_t panel_bytes = steps * weight_step_bytes;
  const Workspace weights = random_bytes(static_cast<std::size_t>(panels * panel_bytes));
  const Workspace activations = random_bytes(static_cast<std::size_t>(blocks.bytes(steps)));
  const Workspace sums(static_cast<std::size_t>(blocks.sums_bytes()));
  const microkernel::WeightStream stream{.first = weights.data(),
                                         .panel_bytes = panel_bytes,
                                         .block_bytes = microkernel::stream_block_bytes,
                                         .panels = panels};
  typename Microkernel::Session session;
  session.set_height(blocks.height);
  for (auto _ : state) {
    microkernel::Prefetcher prefetcher;
    if (panels > 1) {
      prefetcher.begin(stream, {});
      prefetcher.pace(panel_bytes, steps);
    }
    for (std::int64_t panel = 0; panel < panels; ++panel) {
      Block block;
      block.activations = activations.data();
      block.next_rows = blocks.blocks == 2 ? blocks.block_bytes(steps) : 0;
      block.height = blocks.height;
      block.weights = weights.data() + panel * panel_bytes;
      block.steps = steps;
      block.sums = sums.data();
      Microkernel::template multiply<false>(block, prefetcher);
    }
    benchmark::ClobberMemory();
  }
  const double passes = static_cast<double>(state.iterations()) * static_cast<double>(panels);
  const double depth = static_cast<double>(steps * microkernel::step_k<typename Microkernel::Element>);
  state.counters["products"] =
      benchmark::Counter(2.0 * 32 * depth * static_cast<double>(rows) * passes, benchmark::Counter::kIsRate);
  state.counters["weights"] =
      benchmark::Counter(static_cast<double>(panel_bytes) * passes, benchmark::Counter::kIsRate);
}

template <class Microkernel>
void add(const std::string& name) {
  constexpr std::int64_t hot_steps = 64;
  for (const std::int64_t rows : {1, 4, 8, 16, 32}) {
    benchmark::RegisterBenchmark((name + "/in_cache/rows:" + std::to_string(rows)).c_str(), &multiply<Microkernel>,
                                 rows, hot_steps, std::int64_t{1});
  }
  constexpr std::int64_t panels = (std::int64_t{512} << 20) / (hot_steps * weight_step_bytes);
  for (const std::int64_t rows : {1, 4, 8, 16}) {
    benchmark::RegisterBenchmark((name + "/from_memory/rows:" + std::to_string(rows)).c_str(), &multiply<Microkernel>,
                                 rows, hot_steps, panels);
  }
}

void add_all() {
  static_cast<void>(target::detect());  // asks the operating system for the tiles
#if defined(__AVX512F__)
  add<microkernel::Simd<xsimd::avx512bw>>("simd_avx512");
#elif defined(__AVX2__)
  add<microkernel::Simd<xsimd::fma3<xsimd::avx2>>>("simd_avx2");
#endif
#if defined(__AVX512BF16__)
  add<microkernel::Avx512Bf16>("avx512_bf16");
#endif
#if defined(__AVX512VNNI__)
  add<microkernel::Avx512Vnni>("avx512_vnni");
#endif
#if defined(POLYMOE_HAS_AMX)
  add<microkernel::AmxBf16>("amx_bf16");
  add<microkernel::AmxInt8>("amx_int8");
#endif
}

}  // namespace
}  // namespace polymoe::bench

int main(int argc, char** argv) {
  polymoe::bench::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
