// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// How fast codecs are: unpacking a block of K steps again and again, packed bytes in L2, unpacked ones in L1, on one
// thread; and packing. "cycles" are those of the time stamp counter for one K step (32 x 32 bf16, 16 x 32 fp32).

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <vector>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "polymoe/execution/workspace.hpp"
#include "polymoe/layout/codec_of.hpp"
#include "polymoe/microkernel/block.hpp"
#include "tests/support/random_matrix.hpp"

namespace {

using namespace polymoe;
using Clock = std::chrono::steady_clock;

std::uint64_t cycles() {
#if defined(__x86_64__)
  return __rdtsc();
#else
  return 0;
#endif
}

/// The best of many short runs.
template <class F>
void measure(double& seconds, double& ticks, F f) {
  seconds = ticks = 1e30;
  for (int trial = 0; trial < 300; ++trial) {
    const auto start = Clock::now();
    const std::uint64_t first = cycles();
    f();
    ticks = std::min(ticks, static_cast<double>(cycles() - first));
    seconds = std::min(seconds, std::chrono::duration<double>(Clock::now() - start).count());
  }
}

template <QuantKey key, class Element>
void bench(std::string_view label, test::MatrixOptions options = {}) {
  using Codec = typename layout::CodecOfKey<key, Element>::type;
  options.key = key;
  options.rows = 512;
  options.columns = 8192;
  const test::RandomMatrix random(options);
  const quant::WeightMatrix& matrix = random.matrix();
  layout::PanelRows rows{};
  for (std::size_t column = 0; column < rows.size(); ++column) rows[column] = 64 + static_cast<std::int64_t>(column);
  const layout::RecordShape shape = Codec::record_shape(random.storage(), matrix.columns);
  const std::int64_t records = matrix.columns / Codec::record_k;
  const std::int64_t bytes = records * shape.bytes;
  const Workspace packed(static_cast<std::size_t>(bytes));
  std::vector<float> tail(static_cast<std::size_t>(shape.tail_floats));
  std::array<float, layout::panel_columns> scales{};
  const auto pack = [&] {
    Codec::pack(packed.data(), shape, matrix, rows, scales.data());
    Codec::pack_tail(tail.data(), shape, matrix, rows);
  };
  double pack_seconds = 1e30;
  for (int trial = 0; trial < 5; ++trial) {
    const auto start = Clock::now();
    pack();
    pack_seconds = std::min(pack_seconds, std::chrono::duration<double>(Clock::now() - start).count());
  }

  constexpr std::int64_t block_k = 16 * microkernel::step_k<Element>;
  constexpr std::int64_t at_once = block_k / Codec::record_k;
  const Workspace unpacked(static_cast<std::size_t>(16 * microkernel::weight_step_bytes));
  double seconds = 0;
  double ticks = 0;
  measure(seconds, ticks, [&] {
    for (std::int64_t r = 0; r < records; r += at_once) {
      Codec::unpack(packed.data() + r * shape.bytes, at_once, shape, tail.data(), unpacked.data());
    }
  });
  const double steps = static_cast<double>(matrix.columns / microkernel::step_k<Element>);
  std::printf("%-24s %-5s %7.1f cycles  %6.2f GB/s packed  %6.2f Gweights/s  packing %6.2f GB/s\n", label.data(),
              sizeof(Element) == 2 ? "bf16" : "f32", ticks / steps, static_cast<double>(bytes) / seconds * 1e-9,
              static_cast<double>(matrix.columns * layout::panel_columns) / seconds * 1e-9,
              static_cast<double>(bytes) / pack_seconds * 1e-9);
}

template <class Element>
void bench_all() {
  // The largest of some thousand normally distributed weights is 4 to 5 deviations: 448, e4m3's largest number.
  constexpr test::MatrixOptions like_weights{.deviation = 100.0F};
  bench<quant_key::fp8_static_channel, Element>("fp8_channel", like_weights);
  bench<quant_key::fp8_static_channel, Element>("fp8_channel all codes");
  bench<quant_key::fp8_static_block128, Element>("fp8_block128", like_weights);
  bench<quant_key::fp8_static_block128, Element>("fp8_block128 all codes");
  bench<quant_key::int8_static_channel, Element>("int8_channel");
  bench<quant_key::mxfp8_static, Element>("mxfp8", like_weights);
  bench<quant_key::mxfp8_static, Element>("mxfp8 all codes");
  bench<quant_key::mxfp4_static, Element>("mxfp4");
  bench<quant_key::nvfp4_static, Element>("nvfp4");
  for (const DType scale : {DType::f32, DType::bf16, DType::f16}) {
    const bool is_first = scale == DType::f32;
    bench<quant_key::int8_static_group, Element>(is_first ? "int8_g128 f32 scales" : "int8_g128 16 bit scales",
                                                 {.group_size = 128, .scale = scale});
    bench<quant_key::int4_static_group, Element>(is_first ? "int4_g128 f32 scales" : "int4_g128 16 bit scales",
                                                 {.group_size = 128, .scale = scale});
  }
  bench<quant_key::int4_static_group, Element>("int4_g32 f16 scales", {.group_size = 32, .scale = DType::f16});
  bench<quant_key::int4_static_group, Element>("int4_g128 zero points",
                                               {.group_size = 128, .scale = DType::f16, .zero_points = true});
  bench<quant_key::int4_static_group, Element>("int4_g128 g_idx", {.group_size = 128, .group_index = true});
  bench<quant_key::int4_static_group, Element>("int4_row", {.group_size = quant::whole_row});
}

}  // namespace

int main() {
  bench_all<bf16>();
  bench_all<float>();
}
