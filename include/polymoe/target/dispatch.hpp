// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>

#include "polymoe/target/cpu_features.hpp"
#include "polymoe/target/isa_namespace.hpp"
#include "polymoe/target/native.hpp"
#include "polymoe/target/target.hpp"

// One program, several builds of one source: docs/multiarch.md. The source defines a function template over the level
// and instantiates it for the level that it is compiled for; the program asks at start-up which build this CPU can run.
//
//     template <polymoe::CpuFeatures level> int answer();             // the header that both sides include
//
//     template <polymoe::CpuFeatures level> int answer() { ... }      // the source, compiled once for each level
//     template int answer<polymoe::target::native_level>();
//
//     constexpr auto builds =                                         // the program
//         polymoe::entry_points<MY_LIBRARY_ISAS>([]<polymoe::CpuFeatures level> { return &answer<level>; });
//     const auto answer_here = polymoe::dispatch(builds, polymoe::target::detect());

namespace polymoe {

namespace target::inline POLYMOE_ISA {

namespace detail {

constexpr CpuFeatures level_of(CpuFeatures features) {
  CpuFeatures level = isa_level::portable;
  for (const CpuFeatures known : {isa_level::sse42, isa_level::avx2, isa_level::avx512, isa_level::avx512_bf16,
                                  isa_level::amx, isa_level::neon64}) {
    if (features.has_all(known)) level = known;
  }
  return level;
}

}  // namespace detail

/// The most capable of the library's levels that this translation unit is compiled for.
inline constexpr CpuFeatures native_level = detail::level_of(native.cpu);

}  // namespace target::inline POLYMOE_ISA

/// One build of a function, and what a CPU must have to run it.
template <class Function>
struct EntryPoint {
  CpuFeatures required{};
  Function function{};
};

/// The builds of a function, one for each level, least capable first. `function_of.operator()<level>()` is the address
/// of the level's build.
template <CpuFeatures... levels, class FunctionOf>
constexpr auto entry_points(FunctionOf function_of) {
  using Function = decltype((function_of.template operator()<levels>(), ...));
  return std::array<EntryPoint<Function>, sizeof...(levels)>{
      EntryPoint<Function>{levels, function_of.template operator()<levels>()}...};
}

/// The build for the most capable level that `here` can run; null where it can run none.
template <class Function, std::size_t size>
constexpr Function dispatch(const std::array<EntryPoint<Function>, size>& builds, const Target& here) {
  Function chosen{};
  for (const EntryPoint<Function>& build : builds) {
    if (here.cpu.has_all(build.required)) chosen = build.function;
  }
  return chosen;
}

}  // namespace polymoe
