// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "examples/lm/calibrate.hpp"
#include "examples/lm/cross_entropy.hpp"
#include "examples/lm/expert_layers.hpp"
#include "examples/lm/experts.hpp"
#include "examples/lm/generate.hpp"
#include "examples/lm/model_config.hpp"
#include "examples/lm/quantized_experts.hpp"
#include "examples/lm/sampler.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/lm/transformer.hpp"
#include "examples/support/any_executor.hpp"
#include "examples/support/arguments.hpp"
#include "examples/support/json_file.hpp"
#include "examples/support/kernel_table.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/oracle/explanation.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/scheme_table.hpp"

namespace polymoe::lm {
namespace {

using tools::AnyExecutor;
using tools::Arguments;

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

/// What the command line says about the experts.
struct SchemeChoice {
  quant::NamedScheme scheme;
  ActivationMode mode;
  DType dtype;
  std::string backend;

  static SchemeChoice of(const Arguments& arguments) {
    std::vector<std::string_view> names;
    for (const quant::NamedScheme& scheme : quant::named_schemes) names.push_back(scheme.name);
    const quant::NamedScheme& scheme = quant::named_schemes[arguments.choice("--scheme", names, 0)];
    constexpr std::string_view modes[]{name(ActivationMode::wide), name(ActivationMode::faithful)};
    constexpr std::string_view dtypes[]{"bf16", "f32"};
    const bool faithful = quant::default_mode(scheme.activation) == ActivationMode::faithful;
    return {.scheme = scheme,
            .mode = arguments.choice("--mode", modes, faithful ? 1 : 0) == 1 ? ActivationMode::faithful
                                                                             : ActivationMode::wide,
            .dtype = arguments.choice("--dtype", dtypes, 0) == 1 ? DType::f32 : DType::bf16,
            .backend = arguments.text("--backend").value_or("")};
  }

  QuantKeys keys() const { return scheme.keys(mode); }
};

/// A model, loaded and bound to kernels.
class Engine {
 public:
  Engine(const std::string& folder, const SchemeChoice& choice, const AnyExecutor& executor)
      : executor_(executor),
        checkpoint_(tools::Checkpoint::open(folder)),
        config_(ModelConfig::load(folder + "/config.json")),
        model_(checkpoint_, config_),
        layers_(kernels_, config_, {choice.keys(), choice.dtype, choice.backend}, executor_) {
    std::printf("model: %s: %lld layers of %lld experts, top %lld, hidden size %lld, intermediate size %lld\n",
                folder.c_str(), static_cast<long long>(config_.num_hidden_layers),
                static_cast<long long>(config_.num_experts), static_cast<long long>(config_.num_experts_per_tok),
                static_cast<long long>(config_.hidden_size), static_cast<long long>(config_.moe_intermediate_size));
    load_experts(choice);
    print_choice(choice);
  }

  void generate(const std::string& prompt, std::int64_t count, double temperature, std::uint64_t seed) {
    const std::vector<Token> tokens = encode(prompt);
    Sampler sampler(temperature, seed);
    std::fputs(prompt.c_str(), stdout);
    const Stopwatch watch;
    double until_first = 0;
    const std::int64_t made = lm::generate(model_, tokens, count, sampler, layers_, executor_, [&](Token token) {
      if (until_first == 0) until_first = watch.seconds();
      std::putchar(static_cast<char>(token));
      std::fflush(stdout);
    });
    const double rest = watch.seconds() - until_first;
    std::putchar('\n');
    print("prefill_tokens_per_second", static_cast<double>(tokens.size()) / until_first);
    if (made > 1) print("decode_tokens_per_second", static_cast<double>(made - 1) / rest);
  }

  void evaluate(const std::string& path) {
    const std::vector<Token> tokens = encode(tools::read_text(path));
    if (tokens.size() < 2) tools::refuse(path, "text", std::to_string(tokens.size()) + " bytes", "at least 2");
    const double experts_before = layers_.seconds();
    const Stopwatch watch;
    const CrossEntropy result =
        cross_entropy(model_, tokens, std::min<std::int64_t>(512, config_.max_position_embeddings), layers_, executor_);
    const double seconds = watch.seconds();
    print("eval_tokens_per_second", static_cast<double>(tokens.size()) / seconds);
    print("eval_moe_share_of_time", (layers_.seconds() - experts_before) / seconds);
    print("cross_entropy_nats_per_byte", result.mean());
  }

 private:
  static void print(const char* what, double value) { std::printf("%s: %.6f\n", what, value); }

  void load_experts(const SchemeChoice& choice) {
    std::vector<ExpertWeights> experts;
    for (std::int64_t n = 0; n < config_.num_hidden_layers; ++n) {
      experts.push_back(gather_experts(checkpoint_, config_, n));
    }
    std::vector<ActivationRange> ranges;
    if (quant::takes_input_scale(choice.keys().effective_activation())) ranges = measure_activations(experts);
    const std::int64_t weights = 3 * config_.num_experts * config_.hidden_size * config_.moe_intermediate_size;
    for (std::size_t n = 0; n < experts.size(); ++n) {
      if (choice.scheme.weight.is_none()) {
        layers_.add(experts[n].checkpoint);
        bits_ = bits_per_weight(experts[n].checkpoint, weights);
      } else {
        const quant::QuantizedCheckpoint quantized = quantize_experts(
            experts[n], choice.scheme, ranges.empty() ? std::nullopt : std::optional(ranges[n]), executor_);
        layers_.add(quantized.view());
        bits_ = bits_per_weight(quantized.view(), weights);
      }
    }
  }

  std::vector<ActivationRange> measure_activations(const std::vector<ExpertWeights>& experts) {
    ExpertLayers unquantized(kernels_, config_, {}, executor_);
    for (const ExpertWeights& layer : experts) unquantized.add(layer.checkpoint);
    const std::int64_t tokens = std::min<std::int64_t>(512, config_.max_position_embeddings);
    return calibrate(model_, experts, unquantized, tokens, executor_);
  }

  void print_choice(const SchemeChoice& choice) const {
    const std::string scheme(choice.scheme.name);
    std::printf("scheme: %s", scheme.c_str());
    if (!choice.scheme.activation.is_none()) std::printf(", mode %s", std::string(name(choice.mode)).c_str());
    std::printf("\nwhy: hidden states are %s; the oracle says of each backend on this CPU\n%s",
                std::string(name(choice.dtype)).c_str(), oracle::to_string(layers_.explanation()).c_str());
    std::printf("backend: %s%s\n", std::string(layers_.backend()).c_str(),
                choice.backend.empty() ? "" : " (asked for with --backend)");
    std::printf("threads: %d\n", executor_.concurrency());
    print("bits_per_weight", bits_);
  }

  AnyExecutor executor_;
  tools::KernelTable kernels_;
  tools::Checkpoint checkpoint_;
  ModelConfig config_;
  Transformer model_;
  ExpertLayers layers_;
  double bits_ = 0;
};

/// OpenMP where there is more than one thread to use, unless the command line names an executor.
std::string_view executor_for(const Arguments& arguments, int threads) {
  const std::vector<std::string_view> names = tools::executor_names();
  const bool has_openmp = std::find(names.begin(), names.end(), "openmp") != names.end();
  const std::size_t otherwise =
      threads > 1 && has_openmp
          ? static_cast<std::size_t>(std::find(names.begin(), names.end(), "openmp") - names.begin())
          : 0;
  return names[arguments.choice("--executor", names, otherwise)];
}

/// A line for each scheme and mode in which something differs.
void list_schemes() {
  for (const quant::NamedScheme& scheme : quant::named_schemes) {
    const std::string line(scheme.name);
    std::printf("%s wide\n", line.c_str());
    if (!scheme.activation.is_none()) std::printf("%s faithful\n", line.c_str());
  }
}

int run(const Arguments& arguments) {
  if (arguments.has("--list-schemes")) {
    list_schemes();
    return 0;
  }
  const auto processors = static_cast<std::int64_t>(std::max(1U, std::thread::hardware_concurrency()));
  const auto threads = static_cast<int>(arguments.integer("--threads", processors, 1, 1024));
  const std::string_view executor_name = executor_for(arguments, threads);
  const SchemeChoice choice = SchemeChoice::of(arguments);
  const std::string folder = arguments.required("--model");
  const std::optional<std::string> prompt = arguments.text("--prompt");
  if (prompt && prompt->empty()) arguments.refuse_argument("--prompt", "no text", "at least one byte");
  const std::int64_t count = arguments.integer("--generate", prompt ? 128 : 0, 0, 1'000'000'000);
  const double temperature = arguments.number("--temperature", 0.0, 0.0, 1000.0);
  const std::int64_t seed = arguments.integer("--seed", 0, 0, INT64_MAX);
  const std::optional<std::string> text = arguments.text("--eval");

  tools::with_executor(executor_name, threads, [&](const AnyExecutor& executor) {
    Engine engine(folder, choice, executor);
    if (count > 0) engine.generate(prompt.value_or("\n"), count, temperature, static_cast<std::uint64_t>(seed));
    if (text) engine.evaluate(*text);
  });
  return 0;
}

}  // namespace
}  // namespace polymoe::lm

int main(int argc, char** argv) {
  using namespace polymoe;
  std::string schemes = "how to quantize the experts at load:";
  for (const quant::NamedScheme& scheme : quant::named_schemes) schemes += " " + std::string(scheme.name);
  const tools::Usage usage{
      .program = "polymoe-lm",
      .synopsis = "--model DIR [options]",
      .description =
          "Generates text with a Qwen3-MoE model (config.json and model.safetensors, tokens are bytes): every MoE\n"
          "layer by polymoe, all else in plain fp32. Exit code: 0; 1 where a backend does not support the layers;\n"
          "2 where a file or the command line is malformed.",
      .options = {{"--model", "DIR", "the model's folder"},
                  {"--prompt", "TEXT", "what to continue"},
                  {"--generate", "N", "tokens to make; default: 128 with a prompt, else none"},
                  {"--temperature", "X", "0 takes the likeliest token; default: 0"},
                  {"--seed", "S", "of the draws; default: 0"},
                  {"--eval", "FILE", "print the cross entropy of a text, in windows of 512 bytes"},
                  {"--scheme", "NAME", schemes},
                  {"--list-schemes", "", "print the schemes with their modes, one of each a line"},
                  {"--mode", "NAME", "faithful or wide; default: faithful for int8_w8a8, else wide"},
                  {"--dtype", "NAME", "type of the experts' hidden states, bf16 or f32; default: bf16"},
                  {"--backend", "NAME", "this backend instead of the first that serves the layers"},
                  {"--executor", "NAME", "serial, openmp or tbb; default: openmp for more than one thread"},
                  {"--threads", "N", "default: all"}}};
  return tools::run_tool(usage, argc, argv, lm::run);
}
