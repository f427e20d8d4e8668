// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/support/safetensors.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/hostile_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace polymoe::test {
namespace {

using tools::Checkpoint;
using tools::InputError;
using tools::NamedTensor;
using tools::OutputError;
using tools::SafetensorsFile;
using tools::SafetensorsWriter;
using tools::write_safetensors;

TensorView view_of(const std::vector<std::byte>& bytes, DType dtype, std::initializer_list<std::int64_t> shape) {
  TensorView view{bytes.data(), dtype, {}, static_cast<int>(shape.size())};
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  return view;
}

std::vector<std::byte> random_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  unsigned state = 1;
  for (std::byte& byte : bytes) byte = static_cast<std::byte>((state = state * 1664525U + 1013904223U) >> 24);
  return bytes;
}

class SafetensorsFiles : public ::testing::TestWithParam<SafetensorsFile::Storage> {
 protected:
  TemporaryFolder folder_;
};

TEST_P(SafetensorsFiles, come_back_as_they_were_written) {
  const auto bytes = random_bytes(4 * 3 * 5);
  const std::vector<NamedTensor> tensors{
      {"u8", view_of(bytes, DType::u8, {7})},
      {"f32", view_of(bytes, DType::f32, {3, 5})},
      {"bf16 \"quoted\" \\ \n \xC3\xA9", view_of(bytes, DType::bf16, {1, 3, 1, 2})},
      {"f16", view_of(bytes, DType::f16, {3})},
      {"i32", view_of(bytes, DType::i32, {})},
      {"i8", view_of(bytes, DType::i8, {0, 4})},
      {"e4m3", view_of(bytes, DType::f8_e4m3, {5})},
      {"e8m0", view_of(bytes, DType::e8m0, {3, 1})},
  };
  const SafetensorsWriter::Metadata metadata{{"format", "pt"}, {"a \"b\"", "line\nbreak"}};
  const std::string path = folder_ / "model.safetensors";
  write_safetensors(path, metadata, tensors);
  EXPECT_EQ(folder_.count(), 1U) << "no temporary file is left";

  const SafetensorsFile file = SafetensorsFile::open(path, GetParam());
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), tensors.size());
  for (const NamedTensor& tensor : tensors) {
    SCOPED_TRACE(tensor.name);
    const TensorView read = file.view(tensor.name);
    EXPECT_EQ(read.dtype, tensor.view.dtype);
    EXPECT_EQ(read.rank, tensor.view.rank);
    EXPECT_EQ(read.shape, tensor.view.shape);
    EXPECT_TRUE(read.present());
    EXPECT_EQ(std::memcmp(read.data, tensor.view.data, read.bytes()), 0);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.data) % size_of(read.dtype), 0U);
    EXPECT_EQ(file.find(tensor.name)->begin % static_cast<std::int64_t>(size_of(read.dtype)), 0);
  }
  std::uint64_t header = 0;
  std::memcpy(&header, file_content(path).data(), 8);
  EXPECT_EQ(header % 8, 0U);
}

TEST_P(SafetensorsFiles, without_tensors_are_files_too) {
  const std::string path = folder_ / "empty.safetensors";
  write_safetensors(path, {}, {});
  EXPECT_TRUE(SafetensorsFile::open(path, GetParam()).tensors().empty());
  EXPECT_TRUE(SafetensorsFile::open(folder_.write("x", safetensors_bytes("{}", "")), GetParam()).metadata().empty());
}

TEST_P(SafetensorsFiles, give_aligned_tensors_wherever_they_lie) {
  // The format lets wide elements begin at any byte.
  const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  for (int pad = 0; pad < 8; ++pad) {
    const std::string bytes = safetensors_bytes(header + std::string(static_cast<std::size_t>(pad), ' '),
                                                "\x7"
                                                "abcd");
    const SafetensorsFile file = SafetensorsFile::open(folder_.write("odd", bytes), GetParam());
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.view("b").data) % 4, 0U);
    EXPECT_EQ(std::memcmp(file.view("b").data, "abcd", 4), 0);
    EXPECT_EQ(file.view("a").data[0], std::byte{7});
  }
}

TEST_P(SafetensorsFiles, may_hold_types_that_polymoe_does_not_use) {
  const std::string header = R"({"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},)"
                             R"("l":{"dtype":"I64","shape":[1],"data_offsets":[16,24]},)"
                             R"("b":{"dtype":"BOOL","shape":[1],"data_offsets":[24,25]}})";
  const std::string path = folder_.write("types", safetensors_bytes(header, std::string(24, 'x') + 'y'));
  const SafetensorsFile file = SafetensorsFile::open(path, GetParam());
  ASSERT_NE(file.find("d"), nullptr);
  EXPECT_EQ(file.find("d")->type.name, "F64");
  EXPECT_EQ(file.bytes(*file.find("d")).size(), 16U);
  EXPECT_EQ(file.bytes(*file.find("b"))[0], std::byte{'y'});
  EXPECT_EQ(subject_of(path, message_of<InputError>([&] { file.view("l"); })), "l");
  EXPECT_EQ(subject_of(path, message_of<InputError>([&] { file.view("m"); })), "m");
}

TEST_P(SafetensorsFiles, stay_valid_when_they_are_moved) {
  const auto bytes = random_bytes(64);
  write_safetensors(folder_ / "a", {}, {{"t", view_of(bytes, DType::u8, {64})}});
  SafetensorsFile first = SafetensorsFile::open(folder_ / "a", GetParam());
  const TensorView view = first.view("t");
  std::vector<SafetensorsFile> many;
  many.push_back(std::move(first));
  for (int i = 0; i < 10; ++i) many.push_back(SafetensorsFile::open(folder_ / "a", GetParam()));
  EXPECT_EQ(std::memcmp(view.data, bytes.data(), 64), 0);
  EXPECT_EQ(many[0].view("t").data, view.data);
}

INSTANTIATE_TEST_SUITE_P(either_way, SafetensorsFiles,
                         ::testing::Values(SafetensorsFile::Storage::memory, SafetensorsFile::Storage::mapped),
                         [](const auto& param_info) {
                           return param_info.param == SafetensorsFile::Storage::memory ? "read" : "mapped";
                         });

class SafetensorsWriting : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::vector<std::byte> bytes_ = random_bytes(1024);
  std::vector<NamedTensor> tensors_{{"t", view_of(bytes_, DType::u8, {1024})}};
};

TEST_F(SafetensorsWriting, fails_in_one_line_where_the_file_cannot_be) {
  for (const std::string& path :
       {folder_ / "no/such/folder/x", folder_.path(), std::string("/dev/full"), std::string()}) {
    const std::string message = message_of<OutputError>([&] { write_safetensors(path, {}, tensors_); });
    EXPECT_TRUE(message.starts_with(path + ": cannot be written: ")) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  }
  EXPECT_EQ(folder_.count(), 0U);
}

TEST_F(SafetensorsWriting, leaves_the_old_file_when_it_does_not_come_to_an_end) {
  const std::string path = folder_.write("model", "old");
  {
    SafetensorsWriter writer(path, {}, {{"a", DType::u8, {1024}}, {"b", DType::u8, {2}}});
    writer.write(0, bytes_);
    EXPECT_EQ(file_content(path), "old");
  }
  EXPECT_EQ(file_content(path), "old");
  EXPECT_EQ(folder_.count(), 1U);

  SafetensorsWriter writer(path, {}, {{"a", DType::u8, {1024}}, {"b", DType::u8, {2}}});
  writer.write(1, std::span(bytes_).first(2));
  EXPECT_NE(message_of<OutputError>([&] { writer.commit(); }).find("a: found no data"), std::string::npos);
  EXPECT_EQ(file_content(path), "old");
  EXPECT_EQ(folder_.count(), 1U);
}

TEST_F(SafetensorsWriting, replaces_what_a_link_names_and_keeps_permissions) {
  const std::string path = folder_.write("model", "old");
  ::chmod(path.c_str(), 0640);
  std::filesystem::create_symlink(path, folder_ / "link");
  write_safetensors(folder_ / "link", {}, tensors_);
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ / "link"));
  EXPECT_EQ(SafetensorsFile::open(path).tensors().size(), 1U);
  EXPECT_EQ(std::filesystem::status(path).permissions(), static_cast<std::filesystem::perms>(0640));
}

TEST_F(SafetensorsWriting, does_not_replace_a_device) {
  write_safetensors("/dev/null", {}, tensors_);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST_F(SafetensorsWriting, refuses_what_no_reader_would_take) {
  const auto message = [&](const std::vector<tools::TensorLayout>& layouts) {
    return message_of<OutputError>([&] { SafetensorsWriter(folder_ / "x", {}, layouts); });
  };
  EXPECT_NE(message({{"a", DType::u8, {1}}, {"a", DType::u8, {1}}}).find("the name twice"), std::string::npos);
  EXPECT_NE(message({{"__metadata__", DType::u8, {1}}}).find("the name twice"), std::string::npos);
  EXPECT_NE(message({{"a", DType::u8, {-1}}}).find("[-1]"), std::string::npos);
  EXPECT_NE(message({{"a", DType::f32, {std::int64_t{1} << 62}}}).find("2^63"), std::string::npos);
  SafetensorsWriter writer(folder_ / "x", {}, {{"a", DType::u8, {3}}});
  EXPECT_NE(message_of<OutputError>([&] { writer.write(0, bytes_); }).find("found 1024 bytes"), std::string::npos);
  EXPECT_EQ(folder_.count(), 0U);
}

TEST_F(SafetensorsWriting, takes_tensors_in_any_order) {
  SafetensorsWriter writer(folder_ / "x", {}, {{"a", DType::u8, {1}}, {"b", DType::f32, {2}}, {"c", DType::u8, {3}}});
  writer.write(2, std::span(bytes_).first(3));
  writer.write(0, std::span(bytes_).first(1));
  writer.write(1, std::span(bytes_).first(8));
  writer.commit();
  const SafetensorsFile file = SafetensorsFile::open(folder_ / "x");
  EXPECT_EQ(std::memcmp(file.view("b").data, bytes_.data(), 8), 0);
  EXPECT_EQ(std::memcmp(file.view("c").data, bytes_.data(), 3), 0);
}

class Checkpoints : public ::testing::Test {
 protected:
  Checkpoints() {
    write_safetensors(folder_ / "model-00001-of-00002.safetensors", {}, {{"a", view_of(bytes_, DType::u8, {4})}});
    write_safetensors(folder_ / "model-00002-of-00002.safetensors", {},
                      {{"b", view_of(bytes_, DType::f32, {2})}, {"spare", view_of(bytes_, DType::u8, {1})}});
  }

  std::string message_for(const std::string& index) {
    const std::string path = folder_.write("model.safetensors.index.json", index);
    const std::string message = message_of<InputError>([&] { Checkpoint::open(folder_.path()); });
    return message == "accepted" ? message : subject_of(path, message);
  }

  TemporaryFolder folder_;
  std::vector<std::byte> bytes_ = random_bytes(64);
};

TEST_F(Checkpoints, of_several_files_are_read_through_their_index) {
  folder_.write("model.safetensors.index.json",
                R"({"metadata":{"total_size":12},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
                R"("b":"model-00002-of-00002.safetensors"}})");
  for (const std::string& path : {folder_.path(), folder_ / "model.safetensors.index.json"}) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(checkpoint.files().size(), 2U);
    EXPECT_EQ(checkpoint.view("b").dtype, DType::f32);
    EXPECT_EQ(std::memcmp(checkpoint.view("a").data, bytes_.data(), 4), 0);
    EXPECT_EQ(checkpoint.find("c"), nullptr);
    EXPECT_FALSE(checkpoint.contains("spare"));
    EXPECT_EQ(
        subject_of(folder_ / "model.safetensors.index.json", message_of<InputError>([&] { checkpoint.view("c"); })),
        "c");
  }
}

TEST_F(Checkpoints, of_one_file_need_no_index) {
  std::filesystem::rename(folder_ / "model-00001-of-00002.safetensors", folder_ / "model.safetensors");
  EXPECT_EQ(Checkpoint::open(folder_.path()).names(), std::vector<std::string>{"a"});
  EXPECT_EQ(Checkpoint::open(folder_ / "model.safetensors").names(), std::vector<std::string>{"a"});
}

TEST_F(Checkpoints, with_a_wrong_index_are_refused) {
  EXPECT_EQ(message_for(""), "file");
  EXPECT_EQ(message_for("[]"), "weight_map");
  EXPECT_EQ(message_for("{}"), "weight_map");
  EXPECT_EQ(message_for(R"({"weight_map":[]})"), "weight_map");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":1}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":""}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":".."}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"../x"}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"/etc/passwd"}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"model-00001-of-00002.safetensors\u0000"}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{"b":"model-00001-of-00002.safetensors"}})"), "b");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"model-00001-of-00002.safetensors","a":"x"}})"), "a");
  EXPECT_EQ(message_for(R"({"weight_map":{}})" + std::string(1, '\0')), "file");
  EXPECT_EQ(message_for(R"({"weight_map":{"a":"model-00001-of-00002.safetensors"}})"), "accepted");
  const std::string missing = folder_ / "gone.safetensors";
  folder_.write("model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  EXPECT_EQ(subject_of(missing, message_of<InputError>([&] { Checkpoint::open(folder_.path()); })), "file");
}

}  // namespace
}  // namespace polymoe::test
