// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "polymoe/config/error.hpp"
#include "polymoe/layout/packed_weights.hpp"

namespace polymoe {

/// FNV-1a over 64-bit words, four lanes wide: tells a damaged file from a whole one at memory speed.
inline std::uint64_t packed_weights_checksum(const std::byte* data, std::size_t bytes) noexcept {
  constexpr std::uint64_t prime = 0x100000001b3U;
  std::uint64_t lanes[4] = {0xcbf29ce484222325U, 0x9ae16a3b2f90404fU, 0xc949d7c7509e6557U, 0xff51afd7ed558ccdU};
  for (std::size_t at = 0; at + 32 <= bytes; at += 32) {
    std::uint64_t words[4];
    std::memcpy(words, data + at, 32);
    for (int lane = 0; lane < 4; ++lane) lanes[lane] = (lanes[lane] ^ words[lane]) * prime;
  }
  const std::uint64_t sum = ((lanes[0] * prime ^ lanes[1]) * prime ^ lanes[2]) * prime ^ lanes[3];
  return sum == 0 ? 1 : sum;
}

/// Writes packed weights with their checksum. The file takes its name when it is whole; on an error none is left.
inline void save_packed_weights(PackedWeightsView weights, const std::string& path) {
  const std::string temporary = path + ".part";
  PackedWeightsHeader header = weights.header();
  const std::size_t payload = weights.size() - sizeof header;
  header.checksum = packed_weights_checksum(weights.data() + sizeof header, payload);
  std::FILE* const file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) raise_mismatch(path, std::strerror(errno), "a file that can be written");
  const bool written = std::fwrite(&header, sizeof header, 1, file) == 1 &&
                       (payload == 0 || std::fwrite(weights.data() + sizeof header, payload, 1, file) == 1);
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    std::remove(temporary.c_str());
    raise_mismatch(path, reason, "a file that can be written");
  }
}

/// Packed weights that stay in their file: pages are read when a kernel first touches them, and shared by processes.
class MappedPackedWeights {
 public:
  /// Verifies magic number, version, size and, where asked, the checksum (which reads the whole file). A kernel's
  /// constructor verifies format, scheme and extents.
  explicit MappedPackedWeights(const std::string& path, bool verify_checksum = true) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) raise_mismatch(path, std::strerror(errno), "a file of packed weights");
    struct stat status {};
    const bool known = ::fstat(file, &status) == 0;
    size_ = known ? static_cast<std::size_t>(status.st_size) : 0;
    void* const memory =
        size_ >= sizeof(PackedWeightsHeader) ? ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    ::close(file);
    if (memory == MAP_FAILED) raise_mismatch(path, std::to_string(size_) + " bytes", "a file of packed weights");
    memory_ = static_cast<std::byte*>(memory);
    if (const std::string wrong = what_is_wrong(verify_checksum); !wrong.empty()) {
      ::munmap(memory_, size_);
      raise_mismatch(path, wrong, "packed weights of this version");
    }
  }

  MappedPackedWeights(MappedPackedWeights&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedPackedWeights& operator=(MappedPackedWeights&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(size_, other.size_);
    return *this;
  }
  MappedPackedWeights(const MappedPackedWeights&) = delete;
  MappedPackedWeights& operator=(const MappedPackedWeights&) = delete;
  ~MappedPackedWeights() {
    if (memory_ != nullptr) ::munmap(memory_, size_);
  }

  PackedWeightsView view() const noexcept { return PackedWeightsView(memory_); }
  operator PackedWeightsView() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)

 private:
  std::string what_is_wrong(bool verify_checksum) const {
    const PackedWeightsHeader& header = view().header();
    if (header.magic != PackedWeightsHeader::expected_magic) return "another magic number";
    if (header.version != PackedWeightsHeader::expected_version) return "version " + std::to_string(header.version);
    const std::size_t payload = size_ - sizeof header;
    const auto experts = static_cast<std::uint64_t>(header.num_experts);
    const bool sizes_fit = header.num_experts >= 0 && header.num_shared_experts >= 0 && header.hidden_size >= 0 &&
                           header.intermediate_size >= 0 && header.num_shared_experts <= header.num_experts &&
                           header.expert_bytes % workspace_alignment == 0;
    const bool payload_fits =
        experts == 0 ? payload == 0 : payload % experts == 0 && payload / experts == header.expert_bytes;
    if (!sizes_fit || !payload_fits) return "sizes that do not make up the file's " + std::to_string(size_) + " bytes";
    if (verify_checksum && header.checksum != packed_weights_checksum(memory_ + sizeof header, payload)) {
      return "another checksum";
    }
    return {};
  }

  std::byte* memory_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace polymoe
