// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "bench/layer/layer_benchmark.hpp"
#include "bench/layer/onednn_layer.hpp"
#include "bench/layer/scheme.hpp"
#include "bench/layer/shape.hpp"
#include "bench/support/ceiling_window.hpp"
#include "examples/support/arguments.hpp"
#include "examples/support/file_error.hpp"
#include "examples/support/kernel_table.hpp"
#include "polymoe/config/error.hpp"
#include "polymoe/execution/openmp_executor.hpp"

namespace polymoe::bench {
namespace {

using Json = nlohmann::ordered_json;
using tools::Arguments;
using tools::LayerKernel;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// Entries of a table by their names; the first `count` of the table where the option is not given.
template <class Table>
auto chosen(const Arguments& arguments, std::string_view option, const Table& table, std::size_t count) {
  std::vector<typename Table::value_type> found;
  const std::optional<std::string> given = arguments.text(option);
  if (!given) return std::vector(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(count));
  for (const std::string& name : split(*given)) {
    const auto row = std::find_if(table.begin(), table.end(), [&](const auto& each) { return each.name == name; });
    if (row == table.end()) {
      std::string all;
      for (const auto& each : table) all += (all.empty() ? "" : ", ") + std::string(each.name);
      arguments.refuse_argument(option, name, "names among " + all);
    }
    found.push_back(*row);
  }
  return found;
}

std::vector<std::int64_t> numbers(const Arguments& arguments, std::string_view option,
                                  std::vector<std::int64_t> otherwise, std::int64_t high) {
  const std::optional<std::string> given = arguments.text(option);
  if (!given) return otherwise;
  std::vector<std::int64_t> found;
  for (const std::string& text : split(*given)) {
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || stop != text.data() + text.size() || number < 1 || number > high) {
      arguments.refuse_argument(option, text, "numbers from 1 to " + std::to_string(high));
    }
    found.push_back(number);
  }
  return found;
}

/// "Intel(R) Xeon(R) Processor (family 6, model 143, stepping 8), 2 CPUs".
std::string describe_machine() {
  std::ifstream info("/proc/cpuinfo");
  std::string model = "unknown processor", family, number, stepping;
  for (std::string line; std::getline(info, line) && !line.empty();) {
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find('\t'));
    const std::string value = line.substr(colon + 2);
    if (key == "model name") model = value;
    if (key == "cpu family") family = value;
    if (key == "model") number = value;
    if (key == "stepping") stepping = value;
  }
  if (!family.empty()) model += " (family " + family + ", model " + number + ", stepping " + stepping + ")";
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " CPUs";
}

void write_json(const std::string& path, const Json& json) {
  std::ofstream file(path);
  file << json.dump(2) << '\n';
  if (!file.flush()) raise<tools::OutputError>(path + ": cannot be written");
}

double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return std::strtod(text, nullptr);
}

Json to_json(const Ceilings& ceilings) {
  return {{"read_gbps", rounded(ceilings.read_gbps)},
          {"bf16_tflops", rounded(ceilings.bf16_tflops)},
          {"int8_tops", rounded(ceilings.int8_tops)}};
}

double mib(std::size_t bytes) {
  return rounded(static_cast<double>(bytes) / (1 << 20));
}

class Program {
 public:
  explicit Program(const Arguments& arguments)
      : shapes_(chosen(arguments, "--shapes", shapes, num_default_shapes)),
        schemes_(chosen(arguments, "--schemes", schemes, schemes.size())),
        tokens_(numbers(arguments, "--tokens", {1, 4, 16, 64, 256, 1024, 4096}, 1 << 20)),
        threads_(numbers(arguments, "--threads", {1, 2}, 256)),
        backend_(arguments.text("--backend").value_or("")),
        with_peer_(OneDnnLayer::is_available() && !arguments.has("--no-peer")) {
    if (arguments.has("--quick")) effort_ = {.seconds = 0.15, .min_repetitions = 3};
    effort_.seconds = arguments.number("--seconds", effort_.seconds, 0, 3600);
  }

  /// Measures every cell.
  void measure() {
    const CeilingProbes probes;
    std::printf("%-14s %-13s %-12s %6s %2s %10s %10s %6s %9s  %s\n", "shape", "scheme", "backend", "tokens", "th", "ms",
                "t_min ms", "eff", "onednn", "GB/s    T/s");
    for (const Shape& shape : shapes_) {
      for (const MeasuredScheme& scheme : schemes_) measure(shape, scheme, probes);
    }
    summarize_ceilings(probes);
  }

  /// Resident memory of each layer at the most tokens. Needs a process of its own, because it counts all of it.
  void measure_memory() {
    const std::int64_t tokens = *std::max_element(tokens_.begin(), tokens_.end());
    OpenMpExecutor openmp = executor_for(threads_.back());
    const AnyExecutor executor(openmp);
    for (const Shape& shape : shapes_) {
      for (const MeasuredScheme& scheme : schemes_) {
        const LayerKernel* const kernel = select(shape, scheme);
        if (kernel == nullptr) continue;
        LayerBenchmark benchmark(shape, scheme, *kernel, executor, true);
        add(shape, scheme, *kernel, benchmark.measure_memory(tokens, executor));
      }
    }
  }

  void write_results(const std::string& path) const {
    write_json(path, {{"machine", describe_machine()}, {"ceilings", ceilings_}, {"results", results_}});
  }

  void write_details(const std::string& path) const {
    write_json(path, {{"machine", describe_machine()},
                      {"peer", OneDnnLayer::version()},
                      {"layers", layers_},
                      {"cells", details_},
                      {"memory", memory_}});
  }

 private:
  static OpenMpExecutor executor_for(std::int64_t threads) { return OpenMpExecutor(static_cast<int>(threads)); }

  /// The kernel to be measured; null where there is none, with the reason on standard error. The reference computes in
  /// double, one product after the other: it is measured only where it is asked for.
  const LayerKernel* select(const Shape& shape, const MeasuredScheme& scheme) const {
    const auto skip = [&](std::string_view reason) {
      std::fprintf(stderr, "%s %s: %s\n", std::string(shape.name).c_str(), std::string(scheme.name).c_str(),
                   std::string(reason).c_str());
      return nullptr;
    };
    if (!can_hold(scheme, shape)) return skip("not measured, the groups do not divide the rows");
    FusedMoEConfig config = any_layer;
    config.num_experts = shape.num_experts;
    config.top_k = shape.top_k;
    config.hidden_size = shape.hidden_size;
    config.intermediate_size = shape.intermediate_size;
    config.activation = shape.activation;
    config.w13_layout = shape.w13_layout;
    config.in_dtype = DType::bf16;
    config.apply_router_weight_on_input = Choice::no;
    config.routing = RoutingMethod::given;
    try {
      const LayerKernel& kernel = kernels_.select(config, scheme.keys, backend_);
      if (kernel.backend == "reference" && backend_.empty()) return skip("not measured, only the reference serves it");
      return &kernel;
    } catch (const UnsupportedError& error) {
      return skip(error.what());
    }
  }

  void measure(const Shape& shape, const MeasuredScheme& scheme, const CeilingProbes& probes) {
    const LayerKernel* const kernel = select(shape, scheme);
    if (kernel == nullptr) return;
    OpenMpExecutor all = executor_for(std::thread::hardware_concurrency());
    LayerBenchmark benchmark(shape, scheme, *kernel, AnyExecutor(all));
    std::unique_ptr<OneDnnLayer> peer;
    const bool has_peer = scheme.keys.weight.is_none() || scheme.computes_in_int8();
    if (has_peer && with_peer_) {
      peer = std::make_unique<OneDnnLayer>(shape, scheme.computes_in_int8() ? PeerPrecision::int8 : PeerPrecision::bf16,
                                           benchmark.layers());
    }
    Json workspaces = Json::object();
    for (const std::int64_t tokens : tokens_) {
      workspaces[std::to_string(tokens)] = mib(benchmark.workspace_size(tokens, static_cast<int>(threads_.back())));
    }
    layers_.push_back({{"shape", shape.name},
                       {"scheme", scheme.name},
                       {"backend", kernel->backend},
                       {"layers", benchmark.layers()},
                       {"packed_mib", mib(benchmark.layer_bytes())},
                       {"packed_over_checkpoint", rounded(benchmark.packed_over_checkpoint())},
                       {"workspace_mib", workspaces}});
    for (const std::int64_t threads : threads_) {
      OpenMpExecutor executor = executor_for(threads);
      for (const std::int64_t tokens : tokens_) {
        add(shape, scheme, *kernel, benchmark.measure(tokens, AnyExecutor(executor), probes, peer.get(), effort_));
      }
    }
  }

  void add(const Shape& shape, const MeasuredScheme& scheme, const LayerKernel& kernel, const CellResult& cell) {
    const std::string onednn = cell.onednn_ms ? std::to_string(*cell.onednn_ms).substr(0, 8) : "-";
    std::printf("%-14s %-13s %-12s %6d %2d %10.4f %10.4f %6.3f %9s  %4.1f %6.2f\n", std::string(shape.name).c_str(),
                std::string(scheme.name).c_str(), std::string(kernel.backend).c_str(), static_cast<int>(cell.tokens),
                cell.threads, cell.ms, cell.t_min_ms, cell.efficiency(), onednn.c_str(), cell.ceilings.read_gbps,
                cell.peak);
    std::fflush(stdout);
    Json peer = Json::object();
    if (cell.onednn_ms) peer["onednn_ms"] = rounded(*cell.onednn_ms);
    Json row{{"shape", shape.name},
             {"scheme", scheme.name},
             {"backend", kernel.backend},
             {"tokens", cell.tokens},
             {"threads", cell.threads},
             {"ms", rounded(cell.ms)},
             {"t_min_ms", rounded(cell.t_min_ms)},
             {"efficiency", rounded(cell.efficiency())},
             {"peer", peer}};
    results_.push_back(row);
    row["repetitions"] = cell.repetitions;
    row["bytes"] = cell.bytes;
    row["flops"] = cell.flops;
    row["ceilings"] = to_json(cell.ceilings);
    row["product_tops"] = rounded(cell.peak);
    details_.push_back(row);
    windows_.push_back({cell.threads, cell.ceilings});
  }

  void add(const Shape& shape, const MeasuredScheme& scheme, const LayerKernel& kernel, const MemoryResult& memory) {
    const double beyond = rounded((static_cast<double>(memory.peak) - static_cast<double>(memory.packed) -
                                   static_cast<double>(memory.workspace)) /
                                  (1 << 20));
    std::printf("%-14s %-13s %-12s %d tokens: packed %.1f MiB, workspace %.2f MiB, resident beyond them %.1f MiB\n",
                std::string(shape.name).c_str(), std::string(scheme.name).c_str(), std::string(kernel.backend).c_str(),
                static_cast<int>(memory.tokens), mib(memory.packed), mib(memory.workspace), beyond);
    std::fflush(stdout);
    memory_.push_back({{"shape", shape.name},
                       {"scheme", scheme.name},
                       {"backend", kernel.backend},
                       {"tokens", memory.tokens},
                       {"packed_mib", mib(memory.packed)},
                       {"workspace_mib", mib(memory.workspace)},
                       {"peak_mib", mib(memory.peak)},
                       {"beyond_mib", beyond}});
  }

  /// The machine's ceilings on the most threads: the medians of those of the cells, and what the most capable
  /// instruction set's products reach.
  void summarize_ceilings(const CeilingProbes& probes) {
    const auto most = static_cast<int>(*std::max_element(threads_.begin(), threads_.end()));
    OpenMpExecutor openmp = executor_for(most);
    const AnyExecutor executor(openmp);
    CeilingWindow window(probes, probes.best_level(), executor);
    window.finish();
    Ceilings machine = window.ceilings();
    std::vector<double> reads;
    for (const auto& [threads, ceilings] : windows_) {
      if (threads == most) reads.push_back(ceilings.read_gbps);
    }
    if (!reads.empty()) machine.read_gbps = median(reads);
    ceilings_ = to_json(machine);
    std::printf("ceilings on %d threads: %.1f GB/s, %.2f bf16 TFLOP/s, %.2f int8 TOP/s\n", most, machine.read_gbps,
                machine.bf16_tflops, machine.int8_tops);
  }

  struct Window {
    int threads = 0;
    Ceilings ceilings{};
  };

  std::vector<Shape> shapes_;
  std::vector<MeasuredScheme> schemes_;
  std::vector<std::int64_t> tokens_;
  std::vector<std::int64_t> threads_;
  std::string backend_;
  bool with_peer_;
  Effort effort_{};
  tools::KernelTable kernels_;
  Json ceilings_ = Json::object();
  Json results_ = Json::array();
  Json layers_ = Json::array();
  Json details_ = Json::array();
  Json memory_ = Json::array();
  std::vector<Window> windows_;
};

int run(const Arguments& arguments) {
  Program program(arguments);
  if (arguments.has("--memory")) {
    program.measure_memory();
  } else {
    program.measure();
    if (const auto path = arguments.text("--json")) program.write_results(*path);
  }
  if (const auto path = arguments.text("--details")) program.write_details(*path);
  return 0;
}

}  // namespace
}  // namespace polymoe::bench

int main(int argc, char** argv) {
  const polymoe::tools::Usage usage{
      .program = "polymoe-bench",
      .synopsis = "[options]",
      .description =
          "Measures whole layers against this machine's ceilings, and against oneDNN's products where the\n"
          "program was built with it. Lists are separated by commas.",
      .options = {{"--json", "FILE", "write ceilings and results"},
                  {"--details", "FILE", "write what else was measured: bytes, flops, each cell's ceilings, workspaces"},
                  {"--shapes", "LIST", "qwen3-30b-a3b, mixtral-8x7b, gpt-oss-20b, deepseek-v3; default: all"},
                  {"--schemes", "LIST",
                   "bf16, fp8_block128, fp8_channel, mxfp8, mxfp4, nvfp4, int8_w8a8, int8_g128, int4_g32, int4_g128"},
                  {"--tokens", "LIST", "default: 1,4,16,64,256,1024,4096"},
                  {"--threads", "LIST", "default: 1,2"},
                  {"--backend", "NAME", "this backend instead of the first that serves the layer"},
                  {"--seconds", "S", "of measured time for each cell; default: 1"},
                  {"--quick", "", "fewer repetitions"},
                  {"--no-peer", "", "leave oneDNN out"},
                  {"--memory", "", "measure resident memory instead of time"}}};
  return polymoe::tools::run_tool(usage, argc, argv, polymoe::bench::run);
}
