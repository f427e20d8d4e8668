// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

namespace polymoe::test {

/// Memory between two pages that nobody may touch. It ends exactly where the second begins, or begins where the first
/// ends, `offset` bytes away from it: an access out of bounds on that side is a fault, not luck.
class Guarded {
 public:
  enum class Side { end, begin };

  Guarded(std::size_t bytes, Side side, std::size_t offset = 0) : bytes_(bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t inside = (bytes + offset + page - 1) / page * page;
    mapped_ = inside + 2 * page;
    void* const memory = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    mapping_ = static_cast<std::byte*>(memory);
    first_page_ = mapping_ + page;
    inside_ = inside;
    if (inside > 0 && mprotect(first_page_, inside, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = side == Side::end ? first_page_ + (inside - bytes - offset) : first_page_ + offset;
    std::memset(first_page_, 0xFF, inside);
  }

  /// A copy of what `source` holds.
  Guarded(const void* source, std::size_t bytes, Side side, std::size_t offset = 0) : Guarded(bytes, side, offset) {
    if (bytes > 0) std::memcpy(data_, source, bytes);
  }

  Guarded(Guarded&& other) noexcept
      : mapping_(std::exchange(other.mapping_, nullptr)),
        first_page_(other.first_page_),
        data_(other.data_),
        mapped_(other.mapped_),
        inside_(other.inside_),
        bytes_(other.bytes_) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  Guarded& operator=(Guarded&&) = delete;
  ~Guarded() {
    if (mapping_ != nullptr) munmap(mapping_, mapped_);
  }

  /// From now on a write is a fault, too.
  Guarded& make_read_only() {
    if (inside_ > 0) mprotect(first_page_, inside_, PROT_READ);
    return *this;
  }

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* mapping_ = nullptr;
  std::byte* first_page_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t mapped_ = 0;
  std::size_t inside_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace polymoe::test
