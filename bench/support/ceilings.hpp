// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "polymoe/target/isa_namespace.hpp"

namespace polymoe::bench {

/// What the machine can do at best on the threads of one executor, as far as it was measured.
struct Ceilings {
  double read_gbps = 0;    ///< DRAM reads, GB/s
  double bf16_tflops = 0;  ///< the fastest bf16 product there is: AMX, else vdpbf16ps, else fp32 FMA
  double int8_tops = 0;    ///< AMX, else VNNI
  double fp32_tflops = 0;  ///< FMA
};

inline namespace POLYMOE_ISA {

namespace detail {

inline double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// How memory is read: `streams` runs side by side, four lines of each in turn, with software prefetches `ahead` bytes;
/// or, with `pages`, one run whose next block of as many pages is prefetched line by line of each page in turn.
struct ReadPattern {
  std::size_t streams = 1;
  std::size_t ahead = 0;
  std::size_t pages = 0;
};

/// Both keep the compiler from dropping the loads, which it may neither reorder out of their order nor combine.
#if defined(__AVX512F__)
using Sink = __m512i;
inline void read_line(const std::byte* line, Sink& sink) {
  sink = _mm512_or_si512(sink, _mm512_load_si512(line));
}
inline bool any(Sink sink) {
  return _mm512_test_epi64_mask(sink, sink) != 0;
}
#else
using Sink = std::array<std::uint64_t, 4>;
inline void read_line(const std::byte* line, Sink& sink) {
  for (std::size_t i = 0; i < 8; ++i) sink[i % 4] |= reinterpret_cast<const std::uint64_t*>(line)[i];
}
inline bool any(const Sink& sink) {
  return (sink[0] | sink[1] | sink[2] | sink[3]) != 0;
}
#endif

inline bool read_memory(const std::byte* data, std::size_t bytes, const ReadPattern& pattern) {
  Sink sink{};
  if (pattern.pages != 0) {
    const std::size_t block = pattern.pages * 4096;
    for (std::size_t at = 0; at + block <= bytes; at += block) {
      const std::byte* current = data + at;
      const std::byte* next = current + block;
      for (std::size_t line = 0; line < 4096; line += 64) {
        for (std::size_t page = 0; page < pattern.pages; ++page, current += 64) {
          __builtin_prefetch(next + page * 4096 + line, 0, 2);
          read_line(current, sink);
        }
      }
    }
    return any(sink);
  }
  const std::size_t run = bytes / pattern.streams / 4096 * 4096;
  for (std::size_t at = 0; at < run; at += 256) {
    for (std::size_t s = 0; s < pattern.streams; ++s) {
      const std::byte* const lines = data + s * run + at;
      for (std::size_t i = 0; i < 256; i += 64) {
        if (pattern.ahead != 0) __builtin_prefetch(lines + pattern.ahead + i, 0, 3);
        read_line(lines + i, sink);
      }
    }
  }
  return any(sink);
}

#if defined(POLYMOE_HAS_AMX)
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14]{};
  std::uint16_t row_bytes[16]{64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16]{16, 16, 16, 16, 16, 16, 16, 16};
};

inline void load_full_tiles() {
  static const bool permitted = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  if (!permitted) std::abort();
  const TileConfig config{};
  asm volatile("ldtilecfg %0" ::"m"(config));
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
}

inline double amx_bf16_flops(std::size_t rounds) {
  load_full_tiles();
  for (std::size_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 2 * 16 * 16 * 32 * static_cast<double>(rounds);
}

inline double amx_int8_ops(std::size_t rounds) {
  load_full_tiles();
  for (std::size_t i = 0; i < rounds; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 2 * 16 * 16 * 64 * static_cast<double>(rounds);
}
#endif

// Sums in 12 vector registers, which hide a latency of 4 to 6 cycles on two ports. The compiler may neither fold the
// rounds nor keep the sums in memory: an empty asm that reads and writes each register stands in every round.
#if defined(__AVX512F__)
using Vector = __m512;
#elif defined(__AVX2__)
using Vector = __m256;
#else
typedef float Vector __attribute__((vector_size(16)));
#endif
#if defined(__x86_64__)
#define POLYMOE_BENCH_VECTOR_REGISTER "v"
#else
#define POLYMOE_BENCH_VECTOR_REGISTER "w"
#endif

template <class Step>
void twelve_chains(std::size_t rounds, Step step) {
  Vector s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{}, s10{}, s11{};
  for (std::size_t i = 0; i < rounds; ++i) {
    step(s0), step(s1), step(s2), step(s3), step(s4), step(s5);
    step(s6), step(s7), step(s8), step(s9), step(s10), step(s11);
  }
}

inline double fp32_flops(std::size_t rounds) {
  const Vector factor{};
  twelve_chains(rounds, [factor](Vector& sum) {
#if defined(__AVX512F__)
    sum = _mm512_fmadd_ps(factor, factor, sum);
#elif defined(__AVX2__) && defined(__FMA__)
    sum = _mm256_fmadd_ps(factor, factor, sum);
#else
    sum = factor * factor + sum;
#endif
    asm volatile("" : "+" POLYMOE_BENCH_VECTOR_REGISTER(sum));
  });
  return 12.0 * 2 * (sizeof(Vector) / sizeof(float)) * static_cast<double>(rounds);
}

#if defined(__AVX512BF16__)
inline double dpbf16_flops(std::size_t rounds) {
  const __m512bh factor{};
  twelve_chains(rounds, [factor](Vector& sum) {
    sum = _mm512_dpbf16_ps(sum, factor, factor);
    asm volatile("" : "+v"(sum));
  });
  return 12.0 * 2 * 32 * static_cast<double>(rounds);
}
#endif

#if defined(__AVX512VNNI__)
inline double vnni_ops(std::size_t rounds) {
  const __m512i factor{};
  twelve_chains(rounds, [factor](Vector& sum) {
    sum = _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sum), factor, factor));
    asm volatile("" : "+v"(sum));
  });
  return 12.0 * 2 * 64 * static_cast<double>(rounds);
}
#endif

}  // namespace detail

/// How many ways of reading memory CeilingMeter tries in turn.
inline constexpr std::size_t read_pattern_count = 5;

/// Measures the ceilings in small samples, to be interleaved with the kernels that are judged by them, on the threads
/// of the same executor. `ceilings()` is the best that was seen.
class CeilingMeter {
 public:
  /// The buffer is to exceed the last-level cache by far: 1.5 GiB where it is 105 MiB and shared with neighbours.
  explicit CeilingMeter(std::size_t buffer_bytes = std::size_t{3} << 29) : bytes_(buffer_bytes) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    madvise(memory, bytes_, MADV_HUGEPAGE);
    data_ = static_cast<std::byte*>(memory);
    for (std::size_t i = 0; i < bytes_; i += 64) data_[i] = std::byte{1};
  }
  ~CeilingMeter() { munmap(data_, bytes_); }
  CeilingMeter(const CeilingMeter&) = delete;
  CeilingMeter& operator=(const CeilingMeter&) = delete;

  const Ceilings& ceilings() const { return best_; }

  /// One sample of every ceiling, about 40 ms.
  template <class Executor>
  void sample(Executor& executor) {
    sample_read(executor);
    sample_products(executor);
  }

  /// One sample of the read bandwidth with the next of the patterns; a third of the buffer, and each time another.
  template <class Executor>
  double sample_read(Executor& executor) {
    const detail::ReadPattern& pattern = patterns[next_pattern_++ % patterns.size()];
    const auto threads = static_cast<std::size_t>(executor.concurrency());
    const std::size_t third = bytes_ / 3;
    const std::size_t share = third / threads / 4096 * 4096;
    const std::byte* base = data_ + (next_third_++ % 3) * third;
    const double gbps = timed(executor,
                              [&](std::size_t index) {
                                keep(detail::read_memory(base + index * share, share, pattern));
                                return static_cast<double>(share);
                              }) *
                        1e-9;
    best_.read_gbps = std::max(best_.read_gbps, gbps);
    return gbps;
  }

  template <class Executor>
  void sample_products(Executor& executor) {
    constexpr std::size_t rounds = 100000;
    const auto tera = [&](double (*work)(std::size_t)) {
      return timed(executor, [work](std::size_t) { return work(rounds); }) * 1e-12;
    };
    best_.fp32_tflops = std::max(best_.fp32_tflops, tera(detail::fp32_flops));
#if defined(POLYMOE_HAS_AMX)
    best_.bf16_tflops = std::max(best_.bf16_tflops, tera(detail::amx_bf16_flops));
    best_.int8_tops = std::max(best_.int8_tops, tera(detail::amx_int8_ops));
#elif defined(__AVX512BF16__)
    best_.bf16_tflops = std::max(best_.bf16_tflops, tera(detail::dpbf16_flops));
    best_.int8_tops = std::max(best_.int8_tops, tera(detail::vnni_ops));
#else
    best_.bf16_tflops = best_.fp32_tflops;
    best_.int8_tops = best_.fp32_tflops;
#endif
  }

 private:
  static constexpr std::array<detail::ReadPattern, read_pattern_count> patterns{
      {{.streams = 8}, {.streams = 4, .ahead = 1024}, {.streams = 4, .ahead = 4096}, {.pages = 4}, {.pages = 8}}};

  /// Work done by all threads per second.
  template <class Executor, class Work>
  static double timed(Executor& executor, Work work) {
    const auto threads = executor.concurrency();
    std::array<double, 256> done{};
    const double start = detail::seconds();
    executor.parallel_for(threads, [&](auto index, auto) {
      done[static_cast<std::size_t>(index) % done.size()] = work(static_cast<std::size_t>(index));
    });
    const double time = detail::seconds() - start;
    double sum = 0;
    for (double part : done) sum += part;
    return sum / time;
  }

  static void keep(bool value) {
    asm volatile("" ::"r"(value));
  }

  std::byte* data_ = nullptr;
  std::size_t bytes_;
  std::size_t next_pattern_ = 0;
  std::size_t next_third_ = 0;
  Ceilings best_{};
};

}  // namespace POLYMOE_ISA
}  // namespace polymoe::bench
