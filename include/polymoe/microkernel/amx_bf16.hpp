// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_AMX)

#include <immintrin.h>

#include <cstdint>

#include "polymoe/microkernel/amx_kernel.hpp"
#include "polymoe/numeric/bf16.hpp"

namespace polymoe::inline POLYMOE_ISA::microkernel {

namespace detail {

struct AmxBf16Products {
  using Element = bf16;
  using Sum = float;
  static constexpr double flops_per_microsecond = 2e6;  ///< of one core, roughly

  [[gnu::always_inline]] static void product_0() noexcept { _tile_dpbf16ps(0, 4, 6); }
  [[gnu::always_inline]] static void product_1() noexcept { _tile_dpbf16ps(1, 4, 7); }
  [[gnu::always_inline]] static void product_2() noexcept { _tile_dpbf16ps(2, 5, 6); }
  [[gnu::always_inline]] static void product_3() noexcept { _tile_dpbf16ps(3, 5, 7); }
};

}  // namespace detail

// bf16 -> fp32, subnormal operands read as zeros. A step is K += 32; the plan is amx_kernel.hpp's.
struct AmxBf16 : AmxKernel<detail::AmxBf16Products> {};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
