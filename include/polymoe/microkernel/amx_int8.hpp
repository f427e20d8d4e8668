// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_AMX)

#include <immintrin.h>

#include <cstdint>

#include "polymoe/microkernel/amx_kernel.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

namespace detail {

struct AmxInt8Products {
  using Element = std::int8_t;
  using Sum = std::int32_t;
  static constexpr double flops_per_microsecond = 4e6;  ///< of one core, roughly

  [[gnu::always_inline]] static void product_0() noexcept { _tile_dpbssd(0, 4, 6); }
  [[gnu::always_inline]] static void product_1() noexcept { _tile_dpbssd(1, 4, 7); }
  [[gnu::always_inline]] static void product_2() noexcept { _tile_dpbssd(2, 5, 6); }
  [[gnu::always_inline]] static void product_3() noexcept { _tile_dpbssd(3, 5, 7); }
};

}  // namespace detail

// int8 x int8 -> int32, exact. A step is K += 64; the plan is amx_kernel.hpp's.
struct AmxInt8 : AmxKernel<detail::AmxInt8Products> {};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
