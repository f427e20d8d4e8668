// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <new>
#include <utility>

namespace polymoe::bench {

/// Memory in which the same block stands again and again, and takes the room of one: a checkpoint of equal experts that
/// need not be held. Where the block is not made of whole pages, all of it is held.
class RepeatedMemory {
 public:
  RepeatedMemory() = default;

  /// `held`: every block gets room of its own.
  RepeatedMemory(std::size_t block, std::size_t times, bool held) : size_(block * times), block_(block) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const bool is_shared = !held && block % page == 0;
    data_ = map(nullptr, size_, is_shared ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!is_shared) {
      written_ = size_;
      return;
    }
    written_ = block;
    const int file = memfd_create("polymoe-bench", 0);
    if (file < 0 || ftruncate(file, static_cast<off_t>(block)) != 0) throw std::bad_alloc();
    for (std::size_t i = 0; i < times; ++i) {
      map(data_ + i * block, block, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file);
    }
    close(file);
  }

  RepeatedMemory(RepeatedMemory&& other) noexcept { swap(other); }
  RepeatedMemory& operator=(RepeatedMemory&& other) noexcept {
    swap(other);
    return *this;
  }
  ~RepeatedMemory() {
    if (data_ != nullptr) munmap(data_, size_);
  }

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  /// Bytes of one block.
  std::size_t block() const { return block_; }
  /// What must be written for all of it to have contents.
  std::size_t written() const { return written_; }

 private:
  static std::byte* map(std::byte* at, std::size_t bytes, int protection, int flags, int file) {
    void* const memory = mmap(at, bytes, protection, flags, file, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(memory);
  }

  void swap(RepeatedMemory& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(block_, other.block_);
    std::swap(written_, other.written_);
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t block_ = 0;
  std::size_t written_ = 0;
};

}  // namespace polymoe::bench
