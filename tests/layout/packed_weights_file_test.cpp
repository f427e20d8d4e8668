// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/layout/packed_weights_file.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace polymoe {
namespace {

PackedWeights some_weights() {
  const LayerShape shape{
      .num_experts = 3, .num_local_experts = 3, .top_k = 1, .hidden_size = 8, .intermediate_size = 4};
  PackedWeights weights("some_format", "some_scheme", shape, Storage{}, 128);
  for (std::int64_t e = 0; e < 3; ++e) {
    for (int i = 0; i < 128; ++i) weights.expert(e)[i] = static_cast<std::byte>(e * 50 + i);
  }
  return weights;
}

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(PackedWeightsFile, comes_back_as_it_was_saved) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "weights";
  const PackedWeights weights = some_weights();
  save_packed_weights(weights, path);
  const MappedPackedWeights mapped(path);
  ASSERT_EQ(mapped.view().size(), weights.view().size());
  EXPECT_EQ(mapped.view().header().format_name(), "some_format");
  EXPECT_EQ(mapped.view().header().scheme_name(), "some_scheme");
  EXPECT_EQ(std::memcmp(mapped.view().expert(0), weights.view().expert(0), 3 * 128), 0);
}

TEST(PackedWeightsFile, refuses_a_file_in_which_any_byte_that_matters_has_changed) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "weights";
  save_packed_weights(some_weights(), path);
  const std::vector<char> whole = bytes_of(path);
  const auto refused = [&](std::vector<char> bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    try {
      const MappedPackedWeights mapped(path);
      return false;
    } catch (const Error&) {
      return true;
    }
  };
  constexpr std::size_t header = sizeof(PackedWeightsHeader);
  for (const std::size_t at : {0UL, 8UL, header, header + 44, whole.size() - 1}) {
    std::vector<char> damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    EXPECT_TRUE(refused(damaged)) << "byte " << at;
  }
  for (const std::size_t size : {0UL, 100UL, header - 1, whole.size() - 64}) {
    EXPECT_TRUE(refused({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)})) << size << " bytes";
  }
  EXPECT_FALSE(refused(whole));
}

TEST(PackedWeightsFile, leaves_no_file_where_it_cannot_write) {
  EXPECT_THROW(save_packed_weights(some_weights(), "/nonexistent/folder/weights"), Error);
  EXPECT_THROW(MappedPackedWeights("/nonexistent/folder/weights"), Error);
}

}  // namespace
}  // namespace polymoe
