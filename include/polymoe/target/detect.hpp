// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__linux__) && defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <cstdint>

#include "polymoe/target/target.hpp"

namespace polymoe {

namespace detail {

#if defined(__x86_64__)

/// Asks Linux for the AMX tile registers; the grant holds for the whole process and for threads made later.
inline bool request_amx_tiles() noexcept {
#if defined(__linux__)
  constexpr long arch_req_xcomp_perm = 0x1023;
  constexpr long xfeature_xtiledata = 18;
  return syscall(SYS_arch_prctl, arch_req_xcomp_perm, xfeature_xtiledata) == 0;
#else
  return false;
#endif
}

inline std::uint64_t extended_control_register() noexcept {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

inline CpuFeatures detect_features() noexcept {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return {};
  const auto bit = [](std::uint32_t word, unsigned index) { return ((word >> index) & 1U) != 0; };
  const bool fma = bit(c, 12);
  const bool f16c = bit(c, 29);
  const std::uint64_t state = bit(c, 27) ? extended_control_register() : 0;
  const bool ymm_state = (state & 0x6) == 0x6;
  const bool zmm_state = (state & 0xE6) == 0xE6;
  const bool tile_state = (state & 0x60000) == 0x60000;

  CpuFeatures features{};
  const auto add = [&features](bool there, isa::Feature feature) {
    if (there) features = features.with(CpuFeatures::of(feature));
  };
  add(bit(c, 20), isa::sse42);
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return features;
  add(ymm_state && bit(b, 5) && fma && f16c, isa::avx2);
  const bool avx512 = zmm_state && bit(b, 16) && bit(b, 17) && bit(b, 28) && bit(b, 30) && bit(b, 31);
  add(avx512, isa::avx512);
  add(avx512 && bit(c, 1), isa::avx512_vbmi);
  add(avx512 && bit(c, 11), isa::avx512_vnni);
  add(avx512 && bit(d, 23), isa::avx512_fp16);
  const bool tiles = tile_state && bit(d, 24) && request_amx_tiles();
  add(tiles, isa::amx_tile);
  add(tiles && bit(d, 22), isa::amx_bf16);
  add(tiles && bit(d, 25), isa::amx_int8);
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) add(avx512 && bit(a, 5), isa::avx512_bf16);
  return features;
}

#elif defined(__aarch64__)

inline CpuFeatures detect_features() noexcept {
  CpuFeatures features = isa_level::neon64;
#if defined(__linux__)
  const unsigned long hwcap = getauxval(AT_HWCAP);
  const unsigned long hwcap2 = getauxval(AT_HWCAP2);
  if ((hwcap & HWCAP_ASIMDDP) != 0) features = features.with(CpuFeatures::of(isa::neon_dotprod));
  if ((hwcap2 & HWCAP2_BF16) != 0) features = features.with(CpuFeatures::of(isa::neon_bf16));
  if ((hwcap2 & HWCAP2_I8MM) != 0) features = features.with(CpuFeatures::of(isa::neon_i8mm));
#endif
  return features;
}

#else

inline CpuFeatures detect_features() noexcept {
  return {};
}

#endif

}  // namespace detail

namespace target {

/// What this CPU can do and the operating system grants. On x86 with AMX it asks Linux for the tile registers, so call
/// it once before the threads that compute are started.
inline Target detect() noexcept {
#if defined(__x86_64__)
  return {.cpu_arch = CpuArch::x86_64, .cpu = polymoe::detail::detect_features()};
#elif defined(__aarch64__)
  return {.cpu_arch = CpuArch::aarch64, .cpu = polymoe::detail::detect_features()};
#else
  return {.cpu_arch = CpuArch::other, .cpu = polymoe::detail::detect_features()};
#endif
}

}  // namespace target

}  // namespace polymoe
