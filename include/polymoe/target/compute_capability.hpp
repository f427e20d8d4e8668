// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polymoe {

/// An NVIDIA device's compute capability (9.0 is Hopper), or what vLLM derives from an AMD device's name. 0.0: none.
struct ComputeCapability {
  std::int32_t major_version = 0;
  std::int32_t minor_version = 0;

  constexpr bool exists() const { return major_version != 0; }
  auto operator<=>(const ComputeCapability&) const = default;
};

/// An AMD device by the number in its name: gfx90a is 0x90a, gfx1201 is 0x1201. 0: none.
struct Gfx {
  std::uint32_t number = 0;

  /// Everything before the last two digits is the major version: 9 for gfx90a, 12 for gfx1201.
  constexpr std::int32_t major_version() const {
    const std::uint32_t digits = number >> 8;
    return static_cast<std::int32_t>(digits >> 4) * 10 + static_cast<std::int32_t>(digits & 0xFU);
  }

  /// The digit before the last: 4 for gfx942.
  constexpr std::int32_t minor_version() const { return static_cast<std::int32_t>((number >> 4) & 0xFU); }

  constexpr ComputeCapability capability() const { return {major_version(), minor_version()}; }

  bool operator==(const Gfx&) const = default;
};

/// The devices that kernels ask for by name.
namespace gfx {

inline constexpr Gfx gfx90a{0x90a};
inline constexpr Gfx gfx942{0x942};
inline constexpr Gfx gfx950{0x950};

}  // namespace gfx

/// Reads "gfx942"; nothing where the text is no such name.
constexpr std::optional<Gfx> gfx_from_name(std::string_view text) {
  if (!text.starts_with("gfx") || text.size() < 6 || text.size() > 8) return std::nullopt;
  Gfx result;
  for (const char c : text.substr(3)) {
    const bool decimal = c >= '0' && c <= '9';
    if (!decimal && (c < 'a' || c > 'f')) return std::nullopt;
    result.number = result.number * 16 + static_cast<std::uint32_t>(decimal ? c - '0' : c - 'a' + 10);
  }
  return result;
}

}  // namespace polymoe
