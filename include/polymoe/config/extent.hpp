// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

namespace polymoe {

/// A size that is known when the layer arrives, not when it is compiled (as std::dynamic_extent).
struct DynamicExtent {
  bool operator==(const DynamicExtent&) const = default;
};

inline constexpr DynamicExtent dynamic{};

/// A number of elements, static or dynamic. Structural, so that a config can be a template argument.
struct Extent {
  std::int64_t size = unknown;

  static constexpr std::int64_t unknown = -1;

  constexpr Extent() = default;
  constexpr Extent(DynamicExtent) {}                           // NOLINT(google-explicit-constructor)
  constexpr Extent(std::int64_t elements) : size(elements) {}  // NOLINT(google-explicit-constructor)

  constexpr bool is_static() const { return size != unknown; }

  /// A dynamic extent may be any multiple: the library pads where it must.
  constexpr bool is_multiple_of(std::int64_t factor) const { return !is_static() || size % factor == 0; }

  /// The static size, or what came at run time.
  constexpr std::int64_t value_or(std::int64_t at_run_time) const { return is_static() ? size : at_run_time; }

  bool operator==(const Extent&) const = default;
};

}  // namespace polymoe
