// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "examples/polymoe_quantize/converter.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/arguments.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quantize/weights.hpp"

namespace polymoe::tools {
namespace {

std::vector<std::string_view> scheme_names() {
  std::vector<std::string_view> names;
  for (const quant::NamedScheme& scheme : quant::named_schemes) {
    if (!scheme.weight.is_none()) names.push_back(scheme.name);
  }
  return names;
}

/// How far it is, on standard error: a line that is rewritten on a terminal, else a line a layer.
class Progress {
 public:
  explicit Progress(std::size_t layers) : layers_(layers) {}

  void operator()(std::size_t layer, std::int64_t done, std::int64_t experts) const {
    const bool layer_is_done = done == experts;
    if (!is_terminal_ && !layer_is_done) return;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const bool ends_line = layer_is_done && (!is_terminal_ || layer + 1 == layers_);
    std::fprintf(stderr, "%slayer %zu of %zu: expert %lld of %lld, %.1f s%s", is_terminal_ ? "\r" : "", layer + 1,
                 layers_, static_cast<long long>(done), static_cast<long long>(experts), seconds,
                 ends_line ? "\n" : "");
  }

 private:
  std::size_t layers_;
  bool is_terminal_ = ::isatty(STDERR_FILENO) != 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int run(const Arguments& arguments) {
  const std::vector<std::string_view> names = scheme_names();
  static_cast<void>(arguments.required("--scheme"));
  const std::string_view scheme_name = names[arguments.choice("--scheme", names, 0)];
  const quant::NamedScheme scheme = *quant::named_scheme(scheme_name);
  const std::array<std::string_view, 3> packs{name(PackFormat::compressed_tensors), name(PackFormat::gptq),
                                              name(PackFormat::awq)};
  const std::array<std::string_view, 2> searches{"nearest", "mse"};
  const std::vector<std::string_view> executors = executor_names();
  const auto threads = static_cast<int>(arguments.integer("--threads", 0, 1, 1024));

  quant::WeightFormat format =
      weight_format(scheme, arguments.choice("--search", searches, 1) == 1 ? quant::ScaleSearch::mean_square_error
                                                                           : quant::ScaleSearch::none);
  format.zero_points = arguments.has("--zero-points");
  format.pack_format = static_cast<PackFormat>(arguments.choice("--pack", packs, 0));
  if (format.pack_format != PackFormat::compressed_tensors) format.scale_dtype = DType::f16;
  if (!quant::is_wna16(scheme.weight) && (format.zero_points || arguments.has("--pack"))) {
    arguments.refuse_argument("--scheme", std::string(scheme_name),
                              "integers in groups, to go with --pack or --zero-points");
  }
  if (format.pack_format == PackFormat::gptq && format.zero_points) {
    arguments.refuse_argument("--pack", "gptq with --zero-points",
                              "another: GPTQ keeps zero points less one, and 0 has none");
  }

  const Checkpoint source = Checkpoint::open(arguments.operands()[0]);
  CheckpointConverter converter(source, format);
  const std::string_view executor_name = executors[arguments.choice("--executor", executors, executors.size() > 1)];
  with_executor(executor_name, threads, [&](const AnyExecutor& executor) {
    converter.convert(arguments.operands()[1], scheme_name, executor, Progress(converter.layers().size()));
  });
  return 0;
}

}  // namespace
}  // namespace polymoe::tools

int main(int argc, char** argv) {
  using namespace polymoe::tools;
  const Usage usage{
      .program = "polymoe-quantize",
      .synopsis = "IN OUT.safetensors --scheme NAME [options]",
      .description =
          "Converts the experts of a Hugging Face checkpoint to another weight format and copies the rest.\n"
          "IN: a .safetensors file, a model.safetensors.index.json, or a folder with one of them.\n"
          "Exit code: 0; 1 where the output cannot be written; 2 where the input or the command line is malformed.",
      .options = {{"--scheme", "NAME", "fp8_block128, mxfp4, nvfp4, int8_w8a8, int4_g128, ...; required"},
                  {"--search", "HOW", "scales of 4-bit weights: mse (the default) or nearest"},
                  {"--zero-points", "", "integers in groups: asymmetric"},
                  {"--pack", "FORMAT", "integers in groups: compressed_tensors, gptq or awq"},
                  {"--executor", "NAME", "serial, openmp or tbb; default: openmp where there is one"},
                  {"--threads", "N", "threads of openmp and tbb; default: all"}},
      .min_operands = 2,
      .max_operands = 2};
  return run_tool(usage, argc, argv, [](const Arguments& arguments) { return run(arguments); });
}
