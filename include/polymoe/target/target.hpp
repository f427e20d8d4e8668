// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"
#include "polymoe/target/compute_capability.hpp"
#include "polymoe/target/cpu_features.hpp"
#include "polymoe/target/environment.hpp"
#include "polymoe/target/libraries.hpp"

namespace polymoe {

enum class Platform : std::uint8_t { cpu, cuda, rocm, xpu, tpu, out_of_tree };

namespace detail {

struct PlatformRow {
  Platform value;
  std::string_view name;
};

inline constexpr std::array<PlatformRow, 6> platform_table{{
    {Platform::cpu, "cpu"},
    {Platform::cuda, "cuda"},
    {Platform::rocm, "rocm"},
    {Platform::xpu, "xpu"},
    {Platform::tpu, "tpu"},
    {Platform::out_of_tree, "oot"},
}};

}  // namespace detail

constexpr std::string_view name(Platform platform) {
  return detail::row_of(detail::platform_table, platform).name;
}

constexpr std::optional<Platform> platform_from_name(std::string_view text) {
  return detail::value_from_name<Platform>(detail::platform_table, text);
}

enum class CpuArch : std::uint8_t { x86_64, aarch64, other };

/// The machine that a layer is to run on, as a value that can be a template argument.
struct Target {
  Platform platform = Platform::cpu;
  CpuArch cpu_arch = CpuArch::x86_64;
  CpuFeatures cpu{};
  ComputeCapability cuda_capability{};
  Gfx gfx{};
  Libraries libraries{};
  bool aiter_switched_on = false;  ///< by the engine itself; VLLM_ROCM_USE_AITER in `environment` does it too
  Environment environment{};

  constexpr bool is_cuda() const { return platform == Platform::cuda; }
  constexpr bool is_rocm() const { return platform == Platform::rocm; }

  /// CUDA's, or the one that vLLM reads from an AMD device's name; 0.0 elsewhere.
  constexpr ComputeCapability device_capability() const { return is_rocm() ? gfx.capability() : cuda_capability; }

  /// AMD's devices with matrix cores: MI200 and MI300.
  constexpr bool is_gfx9() const {
    return is_rocm() && (gfx == polymoe::gfx::gfx90a || gfx == polymoe::gfx::gfx942 || gfx == polymoe::gfx::gfx950);
  }

  /// The device computes products of fp8 numbers.
  constexpr bool supports_fp8() const {
    if (is_cuda()) return cuda_capability >= ComputeCapability{8, 9};
    if (is_rocm()) return is_gfx9() || gfx.major_version() == 12;
    return platform == Platform::xpu;
  }

  /// The device's e4m3 has no negative zero and a bias of 8 (gfx94x).
  constexpr bool uses_fp8_fnuz() const { return is_rocm() && (gfx.number >> 4) == 0x94; }

  bool operator==(const Target&) const = default;
};

/// Known machines.
namespace target {

inline constexpr Target portable{.cpu_arch = CpuArch::other};
inline constexpr Target x86_64_v2{.cpu = isa_level::sse42};
inline constexpr Target haswell{.cpu = isa_level::avx2};
inline constexpr Target skylake_avx512{.cpu = isa_level::avx512};
inline constexpr Target zen4{.cpu = isa_level::avx512_bf16};
inline constexpr Target sapphire_rapids{.cpu = isa_level::amx.with(CpuFeatures::of(isa::avx512_fp16))};
inline constexpr Target armv8{.cpu_arch = CpuArch::aarch64, .cpu = isa_level::neon64};

/// An NVIDIA device with everything installed that has kernels for it.
constexpr Target cuda(std::int32_t major_version, std::int32_t minor_version,
                      Libraries installed = libraries::all_of_cuda) {
  return {.platform = Platform::cuda, .cuda_capability = {major_version, minor_version}, .libraries = installed};
}

/// An AMD device with everything installed that has kernels for it; AITER is off until it is switched on.
constexpr Target rocm(Gfx gfx, Libraries installed = libraries::all_of_rocm) {
  return {.platform = Platform::rocm, .gfx = gfx, .libraries = installed};
}

inline constexpr Target ampere = cuda(8, 0);
inline constexpr Target ada = cuda(8, 9);
inline constexpr Target hopper = cuda(9, 0);
inline constexpr Target blackwell = cuda(10, 0);
inline constexpr Target mi300x = rocm(polymoe::gfx::gfx942);
inline constexpr Target mi355x = rocm(polymoe::gfx::gfx950);
inline constexpr Target xpu{.platform = Platform::xpu};
inline constexpr Target tpu{.platform = Platform::tpu};
inline constexpr Target out_of_tree{.platform = Platform::out_of_tree};

}  // namespace target

}  // namespace polymoe
