// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace polymoe {

inline constexpr std::size_t workspace_alignment = 64;

/// Memory for one call of apply at a time, allocated once: `Workspace workspace(kernel.workspace_size(max_tokens))`.
/// 64-byte aligned; large ones ask for huge pages. An engine with its own arena passes a WorkspaceView instead.
class Workspace {
 public:
  Workspace() = default;

  explicit Workspace(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    constexpr std::size_t huge_page = std::size_t{2} << 20;
    const std::size_t alignment = bytes >= huge_page ? huge_page : workspace_alignment;
    data_ = static_cast<std::byte*>(std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment));
    if (data_ == nullptr) throw_out_of_memory();
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == huge_page) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  }

  Workspace(Workspace&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Workspace& operator=(Workspace&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    std::free(data_);
  }

  std::byte* data() const noexcept {
    return data_;
  }
  std::size_t size() const noexcept {
    return size_;
  }

 private:
  [[noreturn]] static void throw_out_of_memory() {
#if defined(__cpp_exceptions)
    throw std::bad_alloc();
#else
    std::abort();
#endif
  }

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A piece of somebody else's memory, 64-byte aligned.
struct WorkspaceView {
  std::byte* memory = nullptr;
  std::size_t bytes = 0;

  constexpr WorkspaceView() = default;
  constexpr WorkspaceView(std::byte* first, std::size_t count) : memory(first), bytes(count) {}
  WorkspaceView(const Workspace& workspace) : memory(workspace.data()), bytes(workspace.size()) {}  // NOLINT
};

/// Cuts a workspace into aligned arrays. Counting with a null memory tells how much the arrays need.
class WorkspaceCutter {
 public:
  explicit WorkspaceCutter(std::byte* memory = nullptr) noexcept : memory_(memory) {}

  template <class T>
  T* take(std::size_t count) noexcept {
    T* first = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += (count * sizeof(T) + workspace_alignment - 1) / workspace_alignment * workspace_alignment;
    return first;
  }

  std::size_t used() const noexcept { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

}  // namespace polymoe
