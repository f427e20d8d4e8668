// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/support/arguments.hpp"

#include <gtest/gtest.h>

#include <array>
#include <new>
#include <string>
#include <vector>

#include "tests/support/hostile_file.hpp"

namespace polymoe::test {
namespace {

using tools::Arguments;
using tools::InputError;

const tools::Usage usage{"polymoe-test",
                         "IN [options]",
                         "Tests the parser.",
                         {{"--backend", "NAME", "which backend"},
                          {"--f32", "", "write fp32"},
                          {"-o", "OUT", "the output"},
                          {"--threads", "N", "how many threads"}},
                         1,
                         2};

Arguments parse(std::vector<const char*> words) {
  words.insert(words.begin(), "polymoe-test");
  return Arguments(usage, static_cast<int>(words.size()), words.data());
}

std::string subject(const std::vector<const char*>& words) {
  return subject_of("polymoe-test", message_of<InputError>([&] { parse(words); }));
}

TEST(a_command_line, holds_options_flags_and_operands_in_any_order) {
  for (const auto& words : {std::vector<const char*>{"in", "--backend", "amx", "--f32", "-o", "out"},
                            std::vector<const char*>{"--backend=amx", "-o", "out", "in", "--f32"},
                            std::vector<const char*>{"--f32", "-o", "out", "--backend=amx", "--", "in"}}) {
    const Arguments arguments = parse(words);
    EXPECT_EQ(arguments.operands(), std::vector<std::string>{"in"});
    EXPECT_TRUE(arguments.has("--f32"));
    EXPECT_EQ(arguments.text("--backend"), "amx");
    EXPECT_EQ(arguments.required("-o"), "out");
    EXPECT_EQ(arguments.text("--threads"), std::nullopt);
    EXPECT_FALSE(arguments.wants_help());
  }
}

TEST(a_command_line, may_hold_odd_values) {
  EXPECT_EQ(parse({"in", "--backend="}).text("--backend"), "");
  EXPECT_EQ(parse({"in", "--backend=--f32"}).text("--backend"), "--f32");
  EXPECT_EQ(parse({"in", "--backend=a=b"}).text("--backend"), "a=b");
  EXPECT_EQ(parse({"in", "--threads", "-3"}).integer("--threads", 1, -5, 5), -3);
  EXPECT_EQ(parse({"-", "--", "--f32"}).operands(), (std::vector<std::string>{"-", "--f32"}));
}

TEST(a_command_line, is_refused_by_the_name_of_what_is_wrong) {
  EXPECT_EQ(subject({"in", "--unknown"}), "--unknown");
  EXPECT_EQ(subject({"in", "--unknown=1"}), "--unknown");
  EXPECT_EQ(subject({"in", "-x"}), "-x");
  EXPECT_EQ(subject({"in", "--back", "amx"}), "--back");
  EXPECT_EQ(subject({"in", "--line\nbreak"}), "--line\\x0abreak");
  EXPECT_EQ(subject({"in", "--backend"}), "--backend");
  EXPECT_EQ(subject({"in", "--backend", "--f32"}), "--backend");
  EXPECT_EQ(subject({"in", "--f32=yes"}), "--f32");
  EXPECT_EQ(subject({"in", "--f32", "--f32"}), "--f32");
  EXPECT_EQ(subject({"in", "--backend=a", "--backend", "b"}), "--backend");
  EXPECT_EQ(subject({}), "operands");
  EXPECT_EQ(subject({"a", "b", "c"}), "operands");
  EXPECT_EQ(subject_of("polymoe-test", message_of<InputError>([] { parse({"in"}).required("-o"); })), "-o");
}

TEST(a_number_on_the_command_line, is_one_and_in_range) {
  const auto integer = [](const char* word) { return parse({"in", "--threads", word}).integer("--threads", 1, 1, 64); };
  const auto number = [](const char* word) { return parse({"in", "--threads", word}).number("--threads", 1, 0, 10); };
  EXPECT_EQ(integer("64"), 64);
  EXPECT_EQ(number("1e-3"), 1e-3);
  EXPECT_EQ(parse({"in"}).integer("--threads", 7, 1, 64), 7);
  for (const char* word : {"0", "65", "", " 1", "1 ", "1.0", "+1", "0x1", "99999999999999999999", "one"}) {
    EXPECT_THROW(integer(word), InputError) << word;
  }
  for (const char* word : {"-1", "11", "nan", "inf", "", "1e999", "1,5", "one"}) {
    EXPECT_THROW(number(word), InputError) << word;
  }
}

TEST(a_choice_on_the_command_line, is_one_of_the_names) {
  constexpr std::array<std::string_view, 2> names{"serial", "openmp"};
  EXPECT_EQ(parse({"in", "--backend", "openmp"}).choice("--backend", names, 0), 1U);
  EXPECT_EQ(parse({"in"}).choice("--backend", names, 1), 1U);
  EXPECT_THROW(parse({"in", "--backend", "OpenMP"}).choice("--backend", names, 0), InputError);
}

TEST(help, lists_every_option_and_needs_nothing_else_to_be_right) {
  EXPECT_TRUE(parse({"--help"}).wants_help());
  EXPECT_TRUE(parse({"in", "-h", "--unknown"}).wants_help());
  const std::string text = tools::help_text(usage);
  for (const char* word : {"usage: polymoe-test IN", "--backend NAME  which", "--f32 ", "--help "}) {
    EXPECT_NE(text.find(word), std::string::npos) << word;
  }
}

template <class Throw>
int exit_code(Throw&& failing) {
  const std::array<const char*, 2> words{"polymoe-test", "in"};
  return tools::run_tool(usage, 2, words.data(), [&](const Arguments&) -> int { return failing(); });
}

TEST(a_tool, ends_with_the_code_of_its_error) {
  EXPECT_EQ(exit_code([] { return 0; }), 0);
  EXPECT_EQ(exit_code([]() -> int { throw tools::OutputError("x"); }), 1);
  EXPECT_EQ(exit_code([]() -> int { throw UnsupportedError("x"); }), 1);
  EXPECT_EQ(exit_code([]() -> int { throw std::bad_alloc(); }), 1);
  EXPECT_EQ(exit_code([]() -> int { throw InputError("x"); }), 2);
  EXPECT_EQ(exit_code([]() -> int { throw Error("x"); }), 2);
  const std::array<const char*, 2> words{"polymoe-test", "--nonsense"};
  EXPECT_EQ(tools::run_tool(usage, 2, words.data(), [](const Arguments&) { return 0; }), 2);
}

}  // namespace
}  // namespace polymoe::test
