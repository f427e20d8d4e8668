// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/safetensors_header.hpp"
#include "polymoe/config/view.hpp"

namespace polymoe::tools {

/// Memory at a 64-byte boundary, as kernels like it.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes)
      : data_(static_cast<std::byte*>(std::aligned_alloc(64, std::max<std::size_t>(64, (bytes + 63) / 64 * 64)))),
        bytes_(bytes) {
    if (data_ == nullptr) raise("memory: found none for " + std::to_string(bytes) + " bytes, expected enough");
  }

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

namespace detail {

/// A regular file that is open for reading.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : path_(path) {
    // O_NONBLOCK: opening a pipe that nobody writes to must not wait.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor_ < 0) refuse(path, "file", std::strerror(errno), "a readable file");
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      refuse(path, "file", S_ISDIR(status.st_mode) ? "a directory" : "something else", "a regular file");
    }
    size_ = status.st_size;
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(descriptor_); }

  int descriptor() const { return descriptor_; }
  std::int64_t size() const { return size_; }

  void read(std::byte* into, std::int64_t bytes, std::int64_t offset) const {
    while (bytes > 0) {
      const ssize_t got = ::pread(descriptor_, into, static_cast<std::size_t>(bytes), offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) refuse(path_, "file", std::strerror(errno), "readable data");
      if (got == 0) refuse(path_, "file", "an end at byte " + std::to_string(offset), "an unchanging file");
      into += got;
      bytes -= got;
      offset += got;
    }
  }

 private:
  std::string path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(const OpenFile& file, std::string_view path) : bytes_(static_cast<std::size_t>(file.size())) {
    void* const memory = ::mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
    if (memory == MAP_FAILED) refuse(path, "file", std::strerror(errno), "a file that can be mapped");
    data_ = static_cast<const std::byte*>(memory);
  }
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), bytes_);
  }

  const std::byte* data() const { return data_; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace detail

/// A safetensors file, checked wholly when it is opened. Tensors stay valid as long as the object (moved or not).
class SafetensorsFile {
 public:
  enum class Storage {
    memory,  ///< read; every tensor begins at a 64-byte boundary
    mapped   ///< mapped; every tensor is aligned to its elements. Nobody may shorten the file meanwhile.
  };

  /// Holds no tensors.
  SafetensorsFile() = default;

  /// Raises InputError for a file that cannot be read or is malformed in any way.
  static SafetensorsFile open(const std::string& path, Storage storage = Storage::memory) {
    return SafetensorsFile(path, storage);
  }

  const std::string& path() const { return path_; }
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return header_.metadata; }
  const std::vector<StoredTensor>& tensors() const { return header_.tensors; }

  /// Null where there is none of that name.
  const StoredTensor* find(const std::string& name) const {
    const auto at = index_.find(name);
    return at == index_.end() ? nullptr : &header_.tensors[at->second];
  }

  /// The raw bytes of one of tensors(), of whatever type.
  std::span<const std::byte> bytes(const StoredTensor& tensor) const {
    return {places_[static_cast<std::size_t>(&tensor - header_.tensors.data())],
            static_cast<std::size_t>(tensor.bytes())};
  }

  /// A view of one of tensors(). Raises InputError where polymoe does not use its type or it has more than four
  /// dimensions. A tensor without elements is present, too: its data is not
  /// null.
  TensorView view(const StoredTensor& tensor) const {
    if (!tensor.type.dtype) {
      refuse(path_, tensor.name, "type " + std::string(tensor.type.name), "a type that polymoe uses");
    }
    TensorView view;
    if (tensor.shape.size() > view.shape.size()) {
      refuse(path_, tensor.name, "shape " + shape_text(tensor.shape), "at most four dimensions");
    }
    view.data = bytes(tensor).data();
    view.dtype = *tensor.type.dtype;
    view.rank = static_cast<int>(tensor.shape.size());
    std::copy(tensor.shape.begin(), tensor.shape.end(), view.shape.begin());
    return view;
  }

  /// As above, by name. Raises InputError where there is none.
  TensorView view(const std::string& name) const {
    const StoredTensor* const tensor = find(name);
    if (tensor == nullptr) refuse(path_, name, "no such tensor", "the tensor");
    return view(*tensor);
  }

 private:
  SafetensorsFile(const std::string& path, Storage storage) : path_(path) {
    const detail::OpenFile file(path);
    if (file.size() < 8) {
      refuse(path, "header", std::to_string(file.size()) + " bytes in the file",
             "at least the 8 bytes of the header length");
    }
    std::uint64_t header_bytes = 0;
    file.read(reinterpret_cast<std::byte*>(&header_bytes), 8, 0);
    check_header_length(path, header_bytes, static_cast<std::uint64_t>(file.size()));
    std::string text(header_bytes, ' ');
    file.read(reinterpret_cast<std::byte*>(text.data()), static_cast<std::int64_t>(header_bytes), 8);
    const std::int64_t data_begin = 8 + static_cast<std::int64_t>(header_bytes);
    header_ = parse_safetensors_header(path, text, file.size() - data_begin);
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) index_.emplace(header_.tensors[i].name, i);
    if (storage == Storage::mapped) {
      map(file, data_begin);
    } else {
      read(file, data_begin);
    }
  }

  void read(const detail::OpenFile& file, std::int64_t data_begin) {
    std::size_t total = 0;
    for (const StoredTensor& tensor : header_.tensors) total += padded(tensor);
    std::byte* place = copies_.emplace_back(total).data();
    for (const StoredTensor& tensor : header_.tensors) {
      file.read(place, tensor.bytes(), data_begin + tensor.begin);
      places_.push_back(place);
      place += padded(tensor);
    }
  }

  void map(const detail::OpenFile& file, std::int64_t data_begin) {
    mapping_ = detail::Mapping(file, path_);
    for (const StoredTensor& tensor : header_.tensors) {
      const std::byte* place = mapping_.data() + data_begin + tensor.begin;
      if ((data_begin + tensor.begin) % tensor.type.size != 0) {
        const AlignedBuffer& copy = copies_.emplace_back(static_cast<std::size_t>(tensor.bytes()));
        std::memcpy(copy.data(), place, copy.size());
        place = copy.data();
      }
      places_.push_back(place);
    }
  }

  static std::size_t padded(const StoredTensor& tensor) {
    return (static_cast<std::size_t>(tensor.bytes()) + 63) / 64 * 64;
  }

  std::string path_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, std::size_t> index_;
  detail::Mapping mapping_;
  std::vector<AlignedBuffer> copies_;
  std::vector<const std::byte*> places_;
};

}  // namespace polymoe::tools
