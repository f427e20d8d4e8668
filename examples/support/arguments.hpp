// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/support/file_error.hpp"
#include "polymoe/config/error.hpp"

namespace polymoe::tools {

/// An option of a command line; one without a value is a flag.
struct Option {
  std::string_view name;   ///< "--backend" or "-o"
  std::string_view value;  ///< what stands for the value in the help: "NAME"; "" for a flag
  std::string_view help;
};

/// What a tool's command line may hold.
struct Usage {
  std::string_view program;      ///< "polymoe-run"
  std::string_view synopsis;     ///< "IN.safetensors -o OUT.safetensors [options]"
  std::string_view description;  ///< one or more lines
  std::vector<Option> options;   ///< --help is always there
  std::size_t min_operands = 0;
  std::size_t max_operands = 0;
};

/// A command line, taken apart: `--name value`, `--name=value`, flags, operands; `--` ends the options. Everything that
/// is wrong raises an InputError of one line that begins with the program's name.
class Arguments {
 public:
  Arguments(const Usage& usage, int argc, const char* const* argv) : usage_(&usage) {
    bool options_end = false;
    for (int i = 1; i < argc; ++i) {
      const std::string_view word = argv[i];
      if (options_end || word == "-" || !word.starts_with('-')) {
        operands_.emplace_back(word);
      } else if (word == "--") {
        options_end = true;
      } else if (word == "--help" || word == "-h") {
        wants_help_ = true;
        return;  // whatever else is wrong, help is what was asked for
      } else {
        i += take_option(word, i + 1 < argc ? argv[i + 1] : nullptr);
      }
    }
    if (operands_.size() < usage.min_operands || operands_.size() > usage.max_operands) {
      refuse_argument("operands", std::to_string(operands_.size()), std::string(usage.synopsis));
    }
  }

  bool wants_help() const { return wants_help_; }
  const std::vector<std::string>& operands() const { return operands_; }

  /// True where the option was given.
  bool has(std::string_view name) const { return values_.contains(name); }

  std::optional<std::string> text(std::string_view name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? std::nullopt : std::optional(at->second);
  }

  /// The value, which must be there.
  std::string required(std::string_view name) const {
    if (!has(name)) refuse_argument(name, "nothing", "the option (it is required)");
    return *text(name);
  }

  std::int64_t integer(std::string_view name, std::int64_t otherwise, std::int64_t low, std::int64_t high) const {
    return parsed(name, otherwise, low, high, "an integer");
  }

  double number(std::string_view name, double otherwise, double low, double high) const {
    return parsed(name, otherwise, low, high, "a number");
  }

  /// The index of the value among `names`.
  std::size_t choice(std::string_view name, std::span<const std::string_view> names, std::size_t otherwise) const {
    const std::optional<std::string> given = text(name);
    if (!given) return otherwise;
    const auto at = std::find(names.begin(), names.end(), *given);
    if (at == names.end()) {
      std::string all;
      for (const std::string_view each : names) all += (all.empty() ? "" : ", ") + std::string(each);
      refuse_argument(name, in_quotes(*given), "one of " + all);
    }
    return static_cast<std::size_t>(at - names.begin());
  }

  /// Raises an InputError about the argument `name`.
  [[noreturn]] void refuse_argument(std::string_view name, std::string_view found, std::string_view expected) const {
    refuse(usage_->program, name, found, expected);
  }

 private:
  /// Stores an option; 1 where the next word was its value, else 0.
  int take_option(std::string_view word, const char* next) {
    const std::size_t equals = word.starts_with("--") ? word.find('=') : std::string_view::npos;
    const std::string_view name = word.substr(0, equals);
    const auto option = std::find_if(usage_->options.begin(), usage_->options.end(),
                                     [&](const Option& candidate) { return candidate.name == name; });
    if (option == usage_->options.end()) refuse_argument(name, "an unknown option", "one that --help lists");
    if (has(name)) refuse_argument(name, "the option twice", "it once");
    std::string& value = values_[option->name];
    if (equals != std::string_view::npos) {
      if (option->value.empty()) refuse_argument(name, "a value", "none (it is a flag)");
      value = word.substr(equals + 1);
      return 0;
    }
    if (option->value.empty()) return 0;
    // A word such as --f32 is a forgotten value; one that shall be a value can be written --name=--f32.
    if (next == nullptr || std::string_view(next).starts_with("--")) {
      refuse_argument(name, "no value", std::string(option->value));
    }
    value = next;
    return 1;
  }

  template <class Number>
  Number parsed(std::string_view name, Number otherwise, Number low, Number high, const std::string& kind) const {
    const std::optional<std::string> given = text(name);
    if (!given) return otherwise;
    Number number{};
    const char* const end = given->data() + given->size();
    const auto [stop, error] = std::from_chars(given->data(), end, number);
    // Written so that a NaN is refused, too.
    if (given->empty() || error != std::errc{} || stop != end || !(number >= low && number <= high)) {
      refuse_argument(name, in_quotes(*given), kind + " from " + short_text(low) + " to " + short_text(high));
    }
    return number;
  }

  static std::string short_text(std::int64_t number) { return std::to_string(number); }
  static std::string short_text(double number) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", number);
    return text;
  }

  const Usage* usage_;
  std::map<std::string_view, std::string> values_;
  std::vector<std::string> operands_;
  bool wants_help_ = false;
};

/// The text of --help.
inline std::string help_text(const Usage& usage) {
  std::string text = "usage: " + std::string(usage.program) + " " + std::string(usage.synopsis) + "\n\n" +
                     std::string(usage.description) + "\n\n";
  std::vector<Option> options = usage.options;
  options.push_back({"--help", "", "print this and end"});
  std::size_t width = 0;
  for (const Option& option : options) width = std::max(width, option.name.size() + 1 + option.value.size());
  for (const Option& option : options) {
    std::string left = std::string(option.name) + (option.value.empty() ? "" : " ") + std::string(option.value);
    left.resize(width, ' ');
    text += "  " + left + "  " + std::string(option.help) + "\n";
  }
  return text;
}

/// A tool's main: calls run(arguments), which returns the exit code. --help goes to standard output and gives 0. Errors
/// are one line on standard error and give 1 where a backend does not support the layer, an output cannot be written or
/// the machine has no more memory; and 2 where the command line or an input is not as it must be.
template <class Run>
int run_tool(const Usage& usage, int argc, const char* const* argv, Run&& run) {
  const auto fail = [&](const std::string& message, int code) {
    std::fprintf(stderr, "%s\n", one_line(message, 8192).c_str());
    return code;
  };
  const std::string program = std::string(usage.program) + ": ";
  try {
    const Arguments arguments(usage, argc, argv);
    if (arguments.wants_help()) {
      std::fputs(help_text(usage).c_str(), stdout);
      return 0;
    }
    return run(arguments);
  } catch (const OutputError& error) {
    return fail(error.what(), 1);
  } catch (const InputError& error) {
    return fail(error.what(), 2);
  } catch (const UnsupportedError& error) {
    return fail(program + error.what(), 1);
  } catch (const Error& error) {
    return fail(program + error.what(), 2);
  } catch (const std::exception& error) {
    return fail(program + error.what(), 1);
  }
}

}  // namespace polymoe::tools
