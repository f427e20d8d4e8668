// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/safetensors_header.hpp"
#include "polymoe/config/view.hpp"

namespace polymoe::tools {

/// A tensor to be written.
struct NamedTensor {
  std::string name;
  TensorView view;
};

/// What a tensor to be written will be, before its data exist.
struct TensorLayout {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
};

/// Writes a safetensors file tensor by tensor, in any order. The data go to a file of a temporary name beside `path`,
/// which takes its name in commit(): whatever fails, no half-written file and no changed one is left. (Where `path`
/// names something that is not a regular file, such as /dev/null, it is written to directly.)
/// Everything here raises OutputError when the file cannot be written.
class SafetensorsWriter {
 public:
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  /// Names must be unique and must not be "__metadata__". Wide elements come first in the file, behind a header that is
  /// padded to eight bytes: so every tensor is aligned to its elements.
  SafetensorsWriter(const std::string& path, const Metadata& metadata, const std::vector<TensorLayout>& tensors)
      : path_(path) {
    const std::string header = lay_out(metadata, tensors);
    open();
    const std::uint64_t header_bytes = header.size();
    put(reinterpret_cast<const std::byte*>(&header_bytes), 8, 0);
    put(reinterpret_cast<const std::byte*>(header.data()), header.size(), 8);
    data_begin_ = 8 + static_cast<std::int64_t>(header_bytes);
  }
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;
  ~SafetensorsWriter() { discard(); }

  /// The data of the tensor at `index` of the constructor's list, all of it.
  void write(std::size_t index, std::span<const std::byte> data) {
    const Place& place = places_.at(index);
    if (data.size() != place.bytes)
      fail(place.name + ": found " + std::to_string(data.size()) + " bytes of data, expected " +
           std::to_string(place.bytes));
    put(data.data(), data.size(), data_begin_ + place.begin);
    places_[index].written = true;
  }

  /// Gives the file its name, once every tensor has been written.
  void commit() {
    for (const Place& place : places_) {
      if (!place.written) fail(place.name + ": found no data, expected " + std::to_string(place.bytes) + " bytes");
    }
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) != 0) fail(std::strerror(errno));
    if (temporary_.empty()) return;
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(std::strerror(errno));
    temporary_.clear();
  }

 private:
  struct Place {
    std::string name;
    std::int64_t begin;
    std::size_t bytes;
    bool written;
  };

  std::string lay_out(const Metadata& metadata, const std::vector<TensorLayout>& tensors) {
    std::vector<std::size_t> order(tensors.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return size_of(tensors[a].dtype) > size_of(tensors[b].dtype);
    });
    std::string text = "{";
    if (!metadata.empty()) {
      text += "\"__metadata__\":{";
      for (const auto& [key, value] : metadata) {
        text += (text.ends_with('{') ? "" : ",") + json_text(key) + ":" + json_text(value);
      }
      text += "}";
    }
    std::unordered_set<std::string> names{"__metadata__"};
    places_.resize(tensors.size());
    std::int64_t at = 0;
    for (const std::size_t i : order) {
      const TensorLayout& tensor = tensors[i];
      if (!names.insert(tensor.name).second) fail(one_line(tensor.name) + ": found the name twice, expected it once");
      auto bytes = static_cast<std::int64_t>(size_of(tensor.dtype));
      for (const std::int64_t extent : tensor.shape) {
        if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes)) {
          fail(one_line(tensor.name) + ": found shape " + shape_text(tensor.shape) + ", expected a size below 2^63");
        }
      }
      text += (text.size() > 1 ? "," : "") + json_text(tensor.name) + ":{\"dtype\":" + json_text(name(tensor.dtype)) +
              ",\"shape\":" + nlohmann::json(tensor.shape).dump() + ",\"data_offsets\":[" + std::to_string(at) + "," +
              std::to_string(at + bytes) + "]}";
      places_[i] = {one_line(tensor.name), at, static_cast<std::size_t>(bytes), false};
      at += bytes;
    }
    text += "}";
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  }

  /// Quoted and escaped. Names come from files or from the program; what is not UTF-8 becomes U+FFFD.
  static std::string json_text(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  void open() {
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) {
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor_ < 0) fail(std::strerror(errno));
      return;
    }
    target_ = path_;
    if (exists) {  // behind a symbolic link, the file that it names is replaced and not the link
      if (char* const resolved = ::realpath(path_.c_str(), nullptr)) {
        target_ = resolved;
        std::free(resolved);
      }
      if (::access(target_.c_str(), W_OK) != 0) fail(std::strerror(errno));
    }
    temporary_ = target_ + ".XXXXXX";
    descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    if (descriptor_ < 0) {
      temporary_.clear();
      fail(std::strerror(errno));
    }
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(descriptor_, exists ? status.st_mode & 07777 : 0666 & ~mask) != 0) fail(std::strerror(errno));
  }

  void put(const std::byte* data, std::size_t bytes, std::int64_t offset) {
    while (bytes > 0) {
      const ssize_t written = ::pwrite(descriptor_, data, bytes, offset);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail(written < 0 ? std::strerror(errno) : "no space");
      data += written;
      bytes -= static_cast<std::size_t>(written);
      offset += written;
    }
  }

  void discard() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
  }

  [[noreturn]] void fail(const std::string& why) {
    discard();
    raise<OutputError>(one_line(path_, 4096) + ": cannot be written: " + why);
  }

  std::string path_;
  std::string target_;
  std::string temporary_;
  int descriptor_ = -1;
  std::int64_t data_begin_ = 0;
  std::vector<Place> places_;
};

/// Writes a whole file. Raises OutputError; then there is no new file, and an old one of that name is unchanged.
inline void write_safetensors(const std::string& path, const SafetensorsWriter::Metadata& metadata,
                              const std::vector<NamedTensor>& tensors) {
  std::vector<TensorLayout> layouts;
  for (const NamedTensor& tensor : tensors) {
    const auto* const extents = tensor.view.shape.data();
    layouts.push_back({tensor.name, tensor.view.dtype, {extents, extents + tensor.view.rank}});
  }
  SafetensorsWriter writer(path, metadata, layouts);
  for (std::size_t i = 0; i < tensors.size(); ++i) writer.write(i, {tensors[i].view.data, tensors[i].view.bytes()});
  writer.commit();
}

}  // namespace polymoe::tools
