// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// The program itself: exit codes, messages, files.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "examples/support/json_file.hpp"
#include "examples/support/layer_file.hpp"
#include "examples/support/safetensors.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/test_data.hpp"

namespace polymoe::test {
namespace {

using tools::SafetensorsFile;

std::string quoted(const std::string& word) {
  return "'" + word + "'";
}

class PolymoeRun : public ::testing::Test {
 protected:
  /// Runs the program; keeps its exit code, standard output and standard error.
  void run(const std::vector<std::string>& arguments) {
    std::string command = quoted(POLYMOE_RUN);
    for (const std::string& argument : arguments) command += " " + quoted(argument);
    const int status =
        std::system((command + " >" + quoted(folder_ / "stdout") + " 2>" + quoted(folder_ / "stderr")).c_str());
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    stdout_ = file_content(folder_ / "stdout");
    stderr_ = file_content(folder_ / "stderr");
  }

  std::vector<std::string> lines_of(const std::string& text) const {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  }

  bool has_output() const { return !file_content(output_).empty(); }

  static TokensView rows(const TensorView& view) {
    return {view.data, view.dtype, view.shape[0], view.shape[1], view.shape[1]};
  }

  const std::string routed_ = conformance_folder + "/001_unquantized_bf16_swiglustep_renormalize_naive.safetensors";
  const std::string given_ = conformance_folder + "/088_unquantized_bf16_given_duplicates.safetensors";
  const std::string int8_ = conformance_folder + "/083_int8_channel_int8_token_faithful_bf16_int8_extremes.safetensors";
  const std::string half_ = conformance_folder + "/002_unquantized_f16_gelu_tanh_minimax2.safetensors";

  TemporaryFolder folder_;
  const std::string output_ = folder_ / "output.safetensors";
  int code_ = -1;
  std::string stdout_;
  std::string stderr_;
};

TEST_F(PolymoeRun, writes_the_output_in_the_type_of_the_input_and_what_it_chose) {
  run({routed_, "-o", output_});
  ASSERT_EQ(code_, 0) << stderr_;
  EXPECT_EQ(stdout_ + stderr_, "");
  const tools::LayerFile layer = tools::LayerFile::load(routed_);
  const SafetensorsFile written = SafetensorsFile::open(output_);
  const TensorView output = written.view("output");
  EXPECT_EQ(output.dtype, layer.hidden_states.dtype);
  EXPECT_TRUE(judge(rows(output), layer, true).passed) << judge(rows(output), layer, true).text;
  EXPECT_EQ(written.view("topk_ids").dtype, DType::i32);
  EXPECT_EQ(written.view("topk_weights").dtype, DType::f32);
  EXPECT_EQ(written.view("topk_ids").shape[1], layer.shape.top_k);
  EXPECT_EQ(written.tensors().size(), 3U);
}

TEST_F(PolymoeRun, writes_the_output_alone_where_the_file_routes) {
  run({given_, "-o", output_});
  ASSERT_EQ(code_, 0) << stderr_;
  EXPECT_EQ(SafetensorsFile::open(output_).tensors().size(), 1U);
}

TEST_F(PolymoeRun, writes_f32_on_request) {
  run({given_, "--f32", "-o", output_});
  ASSERT_EQ(code_, 0) << stderr_;
  EXPECT_EQ(SafetensorsFile::open(output_).view("output").dtype, DType::f32);
}

TEST_F(PolymoeRun, writes_the_same_bits_with_every_executor_and_number_of_threads) {
  run({routed_, "-o", output_});
  const std::string expected = file_content(output_);
  ASSERT_EQ(code_, 0) << stderr_;
  for (const std::string executor : {"openmp", "tbb"}) {
    for (const std::string threads : {"1", "2", "5"}) {
      run({routed_, "-o", output_, "--executor", executor, "--threads", threads});
      if (code_ == 2) continue;  // not in this build
      EXPECT_EQ(file_content(output_), expected) << executor << " " << threads;
    }
  }
}

TEST_F(PolymoeRun, lists_backends_that_all_run) {
  run({"--list-backends"});
  ASSERT_EQ(code_, 0) << stderr_;
  const std::vector<std::string> names = lines_of(stdout_);
  EXPECT_NE(std::find(names.begin(), names.end(), "reference"), names.end());
  for (const std::string& name : names) {
    const bool is_int8 = name == "amx_int8" || name == "avx512_vnni";
    run({is_int8 ? int8_ : given_, "-o", output_, "--backend", name});
    EXPECT_EQ(code_, 0) << name << ": " << stderr_;
  }
}

TEST_F(PolymoeRun, explains_every_candidate) {
  run({half_, "--explain"});
  ASSERT_EQ(code_, 0) << stderr_;
  EXPECT_NE(stdout_.find("selected"), std::string::npos) << stdout_;
  EXPECT_NE(stdout_.find("activations are not bf16, and AMX would round them"), std::string::npos) << stdout_;
  EXPECT_NE(stdout_.find("backend: "), std::string::npos) << stdout_;
  EXPECT_FALSE(has_output());
}

TEST_F(PolymoeRun, prints_times_of_repetitions) {
  run({given_, "-o", output_, "--repeat", "3"});
  ASSERT_EQ(code_, 0) << stderr_;
  EXPECT_NE(stdout_.find("3 runs"), std::string::npos) << stdout_;
}

TEST_F(PolymoeRun, helps) {
  run({"--help"});
  EXPECT_EQ(code_, 0);
  for (const char* option :
       {"-o", "--backend", "--f32", "--executor", "--threads", "--repeat", "--explain", "--list-backends"}) {
    EXPECT_NE(stdout_.find(option), std::string::npos) << option;
  }
}

TEST_F(PolymoeRun, ends_with_1_where_the_named_backend_does_not_support_the_layer) {
  for (const std::string name : {"amx_bf16", "no_such_backend"}) {
    run({half_, "-o", output_, "--backend", name});
    EXPECT_EQ(code_, 1) << name;
    EXPECT_NE(stderr_.find(name + " does not support"), std::string::npos) << stderr_;
    EXPECT_EQ(lines_of(stderr_).size(), 1U) << stderr_;
    EXPECT_FALSE(has_output());
  }
}

TEST_F(PolymoeRun, ends_with_1_where_the_output_cannot_be_written) {
  run({given_, "-o", folder_ / "no_such_folder/output.safetensors"});
  EXPECT_EQ(code_, 1);
  EXPECT_EQ(lines_of(stderr_).size(), 1U) << stderr_;
}

TEST_F(PolymoeRun, ends_with_2_where_the_command_line_is_wrong) {
  const std::vector<std::vector<std::string>> wrong{{},
                                                    {given_},
                                                    {"-o", output_},
                                                    {given_, given_, "-o", output_},
                                                    {given_, "-o", output_, "--backend"},
                                                    {given_, "-o", output_, "--no-such-option"},
                                                    {given_, "-o", output_, "--threads", "0"},
                                                    {given_, "-o", output_, "--repeat", "x"},
                                                    {given_, "-o", output_, "--executor", "magic"},
                                                    {folder_ / "no_such_file", "-o", output_}};
  for (const auto& arguments : wrong) {
    run(arguments);
    EXPECT_EQ(code_, 2) << ::testing::PrintToString(arguments);
    EXPECT_EQ(lines_of(stderr_).size(), 1U) << stderr_;
    EXPECT_FALSE(has_output());
  }
}

TEST_F(PolymoeRun, ends_with_2_and_one_line_and_no_file_for_every_malformed_file) {
  const auto index = tools::read_json(malformed_folder + "/index.json");
  ASSERT_GE(index.at("files").size(), 38U);
  for (const auto& entry : index.at("files")) {
    const auto name = entry.at("file").get<std::string>();
    run({malformed_folder + "/" + name, "-o", output_});
    EXPECT_EQ(code_, 2) << name;
    ASSERT_EQ(lines_of(stderr_).size(), 1U) << name << ": " << stderr_;
    EXPECT_NE(stderr_.find(name), std::string::npos) << stderr_;
    EXPECT_NE(stderr_.find("found"), std::string::npos) << stderr_;
    EXPECT_FALSE(has_output()) << name;
  }
}

TEST_F(PolymoeRun, computes_each_public_case_with_the_backend_of_its_choice) {
  for (const ConformanceCase& each : conformance_cases()) {
    run({each.path, "-o", output_});
    ASSERT_EQ(code_, 0) << each.name << ": " << stderr_;
    const tools::LayerFile layer = tools::LayerFile::load(each.path);
    const SafetensorsFile written = SafetensorsFile::open(output_);
    const Judgement judgement = judge(rows(written.view("output")), layer, true);
    EXPECT_TRUE(judgement.passed) << each.name << ": " << judgement.text;
  }
}

}  // namespace
}  // namespace polymoe::test
