// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/named_enum.hpp"
#include "polymoe/target/cpu_features.hpp"

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

}  // namespace target

}  // namespace polymoe
