// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

#include "examples/support/file_error.hpp"

namespace polymoe::tools {

/// The command line of polymoe-run.
struct RunOptions {
  std::string input;
  std::string output;
  std::string backend;  ///< empty: the oracle decides
  std::string executor = "serial";
  int threads = 0;  ///< 0: as many as the machine has
  int repeat = 1;
  bool f32 = false;
  bool explain = false;
  bool list_backends = false;
  bool help = false;

  static constexpr std::string_view usage =
      "usage: polymoe-run IN.safetensors -o OUT.safetensors [options]\n"
      "\n"
      "Computes the mixture-of-experts layer of a layer file (docs/layer_file.md).\n"
      "\n"
      "  -o, --output FILE    where 'output' goes, and topk_ids and topk_weights where the runner routes\n"
      "  --backend NAME       this backend, instead of the first that serves the layer\n"
      "  --f32                write the output as F32, not in the type of hidden_states\n"
      "  --executor NAME      serial (default), openmp or tbb\n"
      "  --threads N          threads of openmp and tbb; default: all\n"
      "  --repeat N           compute N times and print the times\n"
      "  --explain            print every candidate with its answer; needs no -o\n"
      "  --list-backends      print the backends that this CPU can run, one a line\n"
      "  --help               print this\n"
      "\n"
      "Exit code: 0; 1 where the backend does not support the layer or the output cannot be written; 2 where the\n"
      "file or the command line is malformed.\n";

  /// Raises InputError, in one line, where the arguments are not as above.
  static RunOptions parse(int count, const char* const* arguments) {
    RunOptions options;
    for (int i = 1; i < count; ++i) {
      const std::string_view argument = arguments[i];
      const auto value = [&]() -> std::string {
        if (i + 1 >= count) refuse(argument, "nothing behind it", "a value");
        return arguments[++i];
      };
      if (argument == "-o" || argument == "--output") {
        options.output = value();
      } else if (argument == "--backend") {
        options.backend = value();
        if (options.backend.empty()) refuse(argument, "an empty name", "a backend");
      } else if (argument == "--executor") {
        options.executor = value();
      } else if (argument == "--threads") {
        options.threads = number(argument, value());
      } else if (argument == "--repeat") {
        options.repeat = number(argument, value());
      } else if (argument == "--f32") {
        options.f32 = true;
      } else if (argument == "--explain") {
        options.explain = true;
      } else if (argument == "--list-backends") {
        options.list_backends = true;
      } else if (argument == "--help" || argument == "-h") {
        options.help = true;
      } else if (argument.starts_with("-") && argument.size() > 1) {
        refuse(argument, "an unknown option", "those of --help");
      } else if (!options.input.empty()) {
        refuse(argument, "a second input", "one");
      } else {
        options.input = argument;
      }
    }
    if (options.help || options.list_backends) return options;
    if (options.input.empty()) refuse("IN.safetensors", "nothing", "a layer file (see --help)");
    if (options.output.empty() && !options.explain) refuse("-o", "nothing", "where to write (see --help)");
    return options;
  }

 private:
  [[noreturn]] static void refuse(std::string_view subject, std::string_view found, std::string_view expected) {
    tools::refuse("polymoe-run", subject, found, expected);
  }

  static int number(std::string_view option, std::string_view text) {
    int parsed = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), parsed);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || parsed < 1 || parsed > 1'000'000) {
      refuse(option, in_quotes(text), "an integer from 1 to 1000000");
    }
    return parsed;
  }
};

}  // namespace polymoe::tools
