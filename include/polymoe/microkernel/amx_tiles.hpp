// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include "polymoe/target/isa_namespace.hpp"

#if defined(POLYMOE_HAS_AMX)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace polymoe::inline POLYMOE_ISA::microkernel {

/// The tile registers of this thread while it lives: t0-t3 sums and t4 t5 activations of `height` rows, t6 t7 weights
/// of 16. The operating system must have granted the tiles (target::detect asks for them).
class AmxSession {
 public:
  AmxSession() = default;
  AmxSession(const AmxSession&) = delete;
  AmxSession& operator=(const AmxSession&) = delete;
  ~AmxSession() {
    if (height_ != 0) _tile_release();
  }

  void set_height(std::int64_t height) noexcept {
    if (height == height_) return;
    height_ = height;
    Configuration configuration;
    for (int tile = 0; tile < 6; ++tile) configuration.rows[tile] = static_cast<std::uint8_t>(height);
    // GCC 12's _tile_loadconfig claims to read 8 of the 64 bytes, and the stores of the others are dropped.
    __asm__ volatile("ldtilecfg %0" : : "m"(configuration));
  }

 private:
  struct alignas(64) Configuration {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14]{};
    std::uint16_t row_bytes[16]{64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16]{16, 16, 16, 16, 16, 16, 16, 16};
  };

  std::int64_t height_ = 0;
};

/// Brings what a later call reads nearer, spread over the steps of this one: to L1 (locality 3) or L2 (2).
template <int locality>
class SpreadPrefetch {
 public:
  SpreadPrefetch(const std::byte* first, std::int64_t bytes, std::int64_t steps) noexcept
      : at_(first), left_(first == nullptr ? 0 : bytes), of_step_((bytes / 64 + steps - 1) / steps * 64) {}

  [[gnu::always_inline]] void step() noexcept {
    if (left_ <= 0) return;
    for (std::int64_t line = 0; line < of_step_; line += 64) __builtin_prefetch(at_ + line, 0, locality);
    at_ += of_step_;
    left_ -= of_step_;
  }

 private:
  const std::byte* at_;
  std::int64_t left_;
  std::int64_t of_step_;
};

}  // namespace polymoe::inline POLYMOE_ISA::microkernel

#endif
