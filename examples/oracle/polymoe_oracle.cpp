// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

// Asks an oracle: which backend serves a layer on a machine, and why not the others.

#include <algorithm>
#include <charconv>
#include <exception>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/oracle/check_cases.hpp"
#include "examples/oracle/oracles.hpp"
#include "examples/oracle/query.hpp"
#include "examples/oracle/report.hpp"

namespace {

using nlohmann::json;

constexpr std::string_view usage = R"(usage:
  polymoe-oracle --check-cases FILE...        answers recorded cases (JSON lines, plain or gzip)
  polymoe-oracle --query FILE [--json]        answers one question in the format of a recorded case
  polymoe-oracle --oracle NAME [flags] [--json]

  --oracle NAME         unquantized, fp8, mxfp8, nvfp4, mxfp4, mxfp4_deepseek_v4, int8, int_wna16
  --platform KIND       cuda, rocm, xpu, cpu, tpu, oot                                      (cpu)
  --capability M.N      compute capability of a CUDA device                                 (9.0)
  --gfx NAME            AMD device                                                       (gfx942)
  --cpu-arch NAME       x86_64, aarch64                                                  (x86_64)
  --amx                 the CPU has AMX
  --libs LIST           all, none, or names separated by commas                             (all)
  --aiter               AITER is switched on
  --env NAME=VALUE      a variable that selection reads
  --weight-key NAME     as in numerics.md or vLLM                                          (none)
  --activation-key NAME                                                                    (none)
  --activation NAME     silu, gelu, swigluoai, ...                                         (silu)
  --no-act-and-mul      the layer has no gate
  --routing NAME        renormalize, deepseek_v3, ...                               (renormalize)
  --hidden-size N, --intermediate-size N, --num-experts N, --top-k N
  --tp N, --pcp N, --dp N, --sp N             ranks                                           (1)
  --ep                  expert parallelism over all ranks
  --eplb                expert load balancing
  --all2all NAME        deepep_low_latency, ...                         (allgather_reducescatter)
  --interleaved-w13     gate and up rows in turn, as gpt-oss has them
  --lora                the layer has LoRA
  --allow-vllm-cutlass  vLLM's own CUTLASS fp8 kernels may be used
  --backend NAME        ask for a backend by its name                                      (auto)
  --vllm-parity         vLLM's choice also on a CPU
)";

int number_in(const std::string& text) {
  int result = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc{} || end != text.data() + text.size() || result < 0) {
    throw std::runtime_error("\"" + text + "\" is no number that is expected here");
  }
  return result;
}

/// Flags as a question in the format of a recorded case.
class Flags {
 public:
  explicit Flags(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {}

  bool take(std::string_view flag) {
    if (at_ == arguments_.size() || arguments_[at_] != flag) return false;
    ++at_;
    return true;
  }

  std::string value() {
    if (at_ == arguments_.size()) throw std::runtime_error("a value is missing after " + arguments_.back());
    return arguments_[at_++];
  }

  int number() { return number_in(value()); }

  bool done() const { return at_ == arguments_.size(); }
  const std::string& current() const { return arguments_[at_]; }

 private:
  std::vector<std::string> arguments_;
  std::size_t at_ = 0;
};

struct Ranks {
  int tp = 1;
  int pcp = 1;
  int dp = 1;
  int sp = 1;
  bool ep = false;
};

/// What vLLM derives from ranks: under expert parallelism all of them hold experts, else all of them split tensors.
void set_ranks(json& parallel, const Ranks& ranks) {
  const int all = ranks.tp * ranks.pcp * ranks.dp;
  const bool ep = ranks.ep && all > 1;
  parallel["tp_size"] = ep ? 1 : all;
  parallel["ep_size"] = ep ? all : 1;
  parallel["pcp_size"] = ranks.pcp;
  parallel["dp_size"] = ranks.dp;
  parallel["sp_size"] = ranks.sp;
  parallel["use_ep"] = ep;
}

void set_libraries(json& question, const std::string& list) {
  question["libs"] = list;
  if (list == "all" || list == "none") return;
  json installed = json::array();
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    installed.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  question["platform"]["installed"] = installed;
}

struct Question {
  json object = {{"platform", {{"kind", "cpu"}}}, {"config", json::object()}, {"env", json::object()}};
  bool as_json = false;
  bool parity = false;
  bool interleaved = false;
};

void read_flag(Flags& flags, Question& question, Ranks& ranks) {
  json& object = question.object;
  json& platform = object["platform"];
  json& config = object["config"];
  if (flags.take("--oracle")) {
    object["oracle"] = flags.value();
  } else if (flags.take("--query")) {
    const std::string path = flags.value();
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be opened");
    object = json::parse(file);
  } else if (flags.take("--platform")) {
    platform["kind"] = flags.value();
  } else if (flags.take("--capability")) {
    const std::string text = flags.value();
    const std::size_t dot = text.find('.');
    if (dot == std::string::npos) throw std::runtime_error("a capability reads 9.0");
    platform["device_capability"] = {number_in(text.substr(0, dot)), number_in(text.substr(dot + 1))};
  } else if (flags.take("--gfx")) {
    platform["gfx"] = flags.value();
  } else if (flags.take("--cpu-arch")) {
    platform["cpu_arch"] = flags.value();
  } else if (flags.take("--amx")) {
    platform["amx"] = true;
  } else if (flags.take("--libs")) {
    set_libraries(object, flags.value());
  } else if (flags.take("--aiter")) {
    platform["aiter_enabled"] = true;
  } else if (flags.take("--env")) {
    const std::string text = flags.value();
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) throw std::runtime_error("a variable reads NAME=VALUE");
    object["env"][text.substr(0, equals)] = text.substr(equals + 1);
  } else if (flags.take("--weight-key")) {
    object["weight_key"] = flags.value();
  } else if (flags.take("--activation-key")) {
    object["activation_key"] = flags.value();
  } else if (flags.take("--activation")) {
    config["activation"] = flags.value();
  } else if (flags.take("--no-act-and-mul")) {
    config["is_act_and_mul"] = false;
  } else if (flags.take("--routing")) {
    config["routing_method"] = flags.value();
  } else if (flags.take("--hidden-size")) {
    config["hidden_dim"] = flags.number();
  } else if (flags.take("--intermediate-size")) {
    config["intermediate_size_per_partition"] = flags.number();
  } else if (flags.take("--num-experts")) {
    config["num_experts"] = flags.number();
  } else if (flags.take("--top-k")) {
    config["experts_per_token"] = flags.number();
  } else if (flags.take("--tp")) {
    ranks.tp = flags.number();
  } else if (flags.take("--pcp")) {
    ranks.pcp = flags.number();
  } else if (flags.take("--dp")) {
    ranks.dp = flags.number();
  } else if (flags.take("--sp")) {
    ranks.sp = flags.number();
  } else if (flags.take("--ep")) {
    ranks.ep = true;
  } else if (flags.take("--eplb")) {
    config["parallel"]["enable_eplb"] = true;
  } else if (flags.take("--all2all")) {
    config["parallel"]["all2all_backend"] = flags.value();
  } else if (flags.take("--interleaved-w13")) {
    question.interleaved = true;
  } else if (flags.take("--lora")) {
    config["is_lora_enabled"] = true;
  } else if (flags.take("--allow-vllm-cutlass")) {
    config["allow_vllm_cutlass"] = true;
  } else if (flags.take("--backend")) {
    object["moe_backend"] = flags.value();
  } else if (flags.take("--vllm-parity")) {
    question.parity = true;
  } else if (flags.take("--json")) {
    question.as_json = true;
  } else {
    throw std::runtime_error("unknown flag " + flags.current());
  }
}

Question read_question(Flags& flags) {
  Question question;
  Ranks ranks;
  bool recorded = false;
  while (!flags.done()) {
    recorded |= flags.current() == "--query";
    read_flag(flags, question, ranks);
  }
  json& object = question.object;
  if (recorded) return question;
  if (!object.contains("oracle")) throw std::runtime_error("--oracle is missing");
  json& platform = object["platform"];
  if (platform["kind"] == "cuda" && !platform.contains("device_capability")) platform["device_capability"] = {9, 0};
  if (platform["kind"] == "rocm" && !platform.contains("gfx")) platform["gfx"] = "gfx942";
  set_ranks(object["config"]["parallel"], ranks);
  return question;
}

int answer(Flags& flags) {
  const Question question = read_question(flags);
  polymoe::tools::Query query = polymoe::tools::query_from_json(question.object);
  if (question.parity) query.config.selection = polymoe::selection::vllm_parity;
  if (question.interleaved) query.config.w13_layout = polymoe::W13Layout::interleaved;
  const polymoe::tools::NamedOracle* const asked = polymoe::tools::find_oracle(query.oracle);
  if (asked == nullptr) throw std::runtime_error("no oracle is called " + query.oracle);
  const polymoe::tools::Report report = polymoe::tools::report_on(*asked, query);
  std::cout << (question.as_json ? polymoe::tools::as_json(report).dump(2) + "\n" : polymoe::tools::as_text(report));
  return report.explanation.found() ? 0 : 1;
}

int check(Flags& flags) {
  bool all_passed = true;
  while (!flags.done()) all_passed &= polymoe::tools::check_cases(flags.value(), std::cout);
  return all_passed ? 0 : 1;
}

}  // namespace

int main(int count, char** values) {
  Flags flags(std::vector<std::string>(values + 1, values + count));
  try {
    if (count == 1 || flags.take("--help")) {
      std::cout << usage;
      return count == 1 ? 2 : 0;
    }
    return flags.take("--check-cases") ? check(flags) : answer(flags);
  } catch (const std::exception& error) {
    std::cerr << "polymoe-oracle: " << error.what() << '\n';
    return 2;
  }
}
