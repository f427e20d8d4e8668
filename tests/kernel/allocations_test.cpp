// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// apply never asks for memory: the allocator of the C library, on which operator new is built, is counted.

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "polymoe/execution/openmp_executor.hpp"
#include "tests/kernel/kernel_case.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define POLYMOE_TEST_COUNTS_ALLOCATIONS 1

namespace {

std::atomic<long> allocations{0};

void count() {
  allocations.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);

void* malloc(std::size_t bytes) noexcept {
  return count(), __libc_malloc(bytes);
}
void* calloc(std::size_t number, std::size_t bytes) noexcept {
  return count(), __libc_calloc(number, bytes);
}
void* realloc(void* memory, std::size_t bytes) noexcept {
  return count(), __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return count(), __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return count(), __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  count();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
}
#endif

namespace polymoe::test {
namespace {

#if defined(POLYMOE_TEST_COUNTS_ALLOCATIONS)

using Modular = SelectKernel<modular_config, quant::Unquantized>;
using Monolithic = SelectKernel<monolithic_config, quant::Unquantized>;

template <class F>
long allocations_of(F&& f) {
  const long before = allocations.load();
  f();
  return allocations.load() - before;
}

/// Of the second call: threads that an executor starts belong to the first.
template <class Kernel, class E>
long allocations_of_apply(const LayerOptions& options, E&& executor) {
  const KernelCase<Kernel> made(options);
  Tensor out(DType::f32, {options.tokens, options.hidden});
  Tensor logits(DType::f32, {options.tokens, options.experts});
  const Workspace workspace(made.kernel.workspace_size(options.tokens, executor.concurrency()));
  const MutableTokensView to = out.mutable_tokens();
  const TokensView from = made.made.x.tokens();
  const TokensView router = logits.tokens();
  const auto apply = [&] {
    if constexpr (Kernel::candidate::is_monolithic) {
      made.kernel.apply(to, from, router, workspace, executor);
    } else {
      made.kernel.apply(to, from, made.topk_weights(), made.topk_ids(), workspace, executor);
    }
  };
  apply();
  return allocations_of(apply);
}

constexpr LayerOptions layers[] = {{1, 37, 52, 4, 3}, {33, 64, 48, 4, 2}, {130, 96, 40, 8, 2}};

TEST(Allocations, AreCounted) {
  EXPECT_EQ(allocations_of([] { delete new volatile int(1); }), 1);
  EXPECT_EQ(allocations_of([] { const Workspace workspace(64); }), 1);
  EXPECT_EQ(allocations_of([] {}), 0);
}

TEST(Allocations, AreNotMadeByOneThread) {
  for (const LayerOptions& options : layers) {
    EXPECT_EQ(allocations_of_apply<Modular>(options, SerialExecutor{}), 0);
    EXPECT_EQ(allocations_of_apply<Monolithic>(options, SerialExecutor{}), 0);
  }
}

#if defined(_OPENMP)
TEST(Allocations, AreNotMadeByOpenMpThreadsThatRun) {
  for (const LayerOptions& options : layers) {
    EXPECT_EQ(allocations_of_apply<Modular>(options, OpenMpExecutor(2)), 0);
    EXPECT_EQ(allocations_of_apply<Monolithic>(options, OpenMpExecutor(2)), 0);
  }
}
#endif

#else

TEST(Allocations, AreCountedWithGlibcAlone) {
  GTEST_SKIP() << "another allocator, or the sanitizer's";
}

#endif

}  // namespace
}  // namespace polymoe::test
