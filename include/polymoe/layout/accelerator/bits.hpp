// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/accelerator/permutations.hpp"
#include "polymoe/layout/accelerator/relayout.hpp"
#include "polymoe/target/isa_namespace.hpp"

/// Formats that move bits inside bytes, or bytes into words.
namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// triton_kernels on Hopper: the eight fp4 values of four bytes, so that each pair becomes two bf16 numbers by a shift
/// and a mask. In each half-word: value 0 as s......eem......, value 1 the same three bits lower, value 2 six bits
/// lower, value 3 spread over the holes.
constexpr std::uint32_t twiddle_fp4(std::uint32_t bytes) {
  const auto spread = [&](unsigned byte) {  // low nibble into the low half-word, high nibble into the high one
    const std::uint32_t b = bytes >> (8 * byte);
    return (b & 0xFU) | ((b & 0xF0U) << 12);
  };
  const auto usual = [](std::uint32_t x) { return ((x & 0x00080008U) << 12) | ((x & 0x00070007U) << 6); };
  const auto fourth = [](std::uint32_t x) {
    return ((x & 0x00080008U) << 11) | ((x & 0x00060006U) << 9) | ((x & 0x00010001U) << 13);
  };
  return usual(spread(0)) | (usual(spread(1)) >> 3) | (usual(spread(2)) >> 6) | fourth(spread(3));
}

/// The inverse of twiddle_fp4.
constexpr std::uint32_t untwiddle_fp4(std::uint32_t word) {
  const auto narrow = [](std::uint32_t x) {  // s......eem...... twice to a byte of two values
    const std::uint32_t nibbles = ((x >> 12) & 0x00080008U) | ((x >> 6) & 0x00070007U);
    return (nibbles & 0xFU) | ((nibbles >> 12) & 0xF0U);
  };
  const std::uint32_t fourth = ((word << 1) & 0x80008000U) | ((word >> 3) & 0x01800180U) | ((word >> 7) & 0x00400040U);
  return narrow(word) | (narrow(word << 3) << 8) | (narrow(word << 6) << 16) | (narrow(fourth) << 24);
}

/// Twiddles `bytes` bytes, a multiple of four; in and out may be the same memory.
template <Direction direction = Direction::forward, Executor E>
void twiddle_fp4(const std::byte* in, std::byte* out, std::int64_t bytes, E& executor) {
  constexpr std::int64_t piece = std::int64_t{1} << 15;
  executor.parallel_for((bytes + piece - 1) / piece, [&](std::int64_t p, int) {
    for (std::int64_t i = p * piece; i < bytes && i < (p + 1) * piece; i += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, in + i, 4);
      word = direction == Direction::forward ? twiddle_fp4(word) : untwiddle_fp4(word);
      std::memcpy(out + i, &word, 4);
    }
  });
}

/// CPU fp4 and int4: panels of 32 rows. For each byte of K the 64 values of the rows stand as row 0 low, row 0 high,
/// row 1 low, ...; byte n of the result holds value n low and value n + 32 high: [N/32, K bytes, 32]. rows % 32.
template <Direction direction = Direction::forward, Executor E>
void cpu_vnni_pack_nibbles(const ByteMatrix& m, const std::byte* in, std::byte* out, E& executor) {
  constexpr std::byte low{0x0F};
  constexpr std::byte high{0xF0};
  executor.parallel_for(m.rows / 32, [&](std::int64_t panel, int) {
    const std::int64_t first = panel * 32 * m.columns;
    for (std::int64_t k = 0; k < m.columns; ++k) {
      for (std::int64_t r = 0; r < 16; ++r) {  // rows r and r + 16 share the packed bytes 2r and 2r + 1
        const std::int64_t upper = first + r * m.columns + k;
        const std::int64_t lower = upper + 16 * m.columns;
        const std::int64_t packed = first + k * 32 + 2 * r;
        if constexpr (direction == Direction::forward) {
          out[packed] = (in[upper] & low) | (in[lower] << 4);
          out[packed + 1] = (in[upper] >> 4) | (in[lower] & high);
        } else {
          out[upper] = (in[packed] & low) | (in[packed + 1] << 4);
          out[lower] = (in[packed] >> 4) | (in[packed + 1] & high);
        }
      }
    }
  });
}

/// The e8m0 byte of an fp32 scale that is a power of two: its exponent (2^-127 is subnormal, and its byte 0).
constexpr std::uint8_t e8m0_of(float power_of_two) {
  return static_cast<std::uint8_t>(std::bit_cast<std::uint32_t>(power_of_two) >> 23);
}

/// The inverse: DeepGEMM's mxfp4 kernels read scales as fp32. 255 is NaN.
constexpr float scale_of_e8m0(std::uint8_t byte) {
  constexpr std::uint32_t two_to_minus_127 = 0x00400000U;
  constexpr std::uint32_t quiet_nan = 0x7FC00000U;
  const std::uint32_t bits = byte == 0 ? two_to_minus_127 : byte == 255 ? quiet_nan : std::uint32_t{byte} << 23;
  return std::bit_cast<float>(bits);
}

/// DeepGEMM on Blackwell: four e8m0 scales of a row in one word, words column by column, columns padded to four words
/// (TMA). Blocks of `block_rows` weight rows share a scale, and each row gets its own copy: [rows / block_rows, groups]
/// bytes become [groups / 4, round_up(rows, 4)] words.
struct DeepGemmScaleShape {
  std::int64_t rows = 0;        ///< of the weight
  std::int64_t groups = 0;      ///< scales along K
  std::int64_t block_rows = 1;  ///< 128 for blocks of 128 x 128

  constexpr std::int64_t aligned_rows() const { return round_up(rows, 4); }
  constexpr std::int64_t words() const { return (groups + 3) / 4 * aligned_rows(); }
};

template <Executor E>
void deep_gemm_pack_scales(const DeepGemmScaleShape& shape, const std::uint8_t* in, std::uint32_t* out, E& executor) {
  executor.parallel_for((shape.groups + 3) / 4, [&](std::int64_t g4, int) {
    for (std::int64_t r = 0; r < shape.aligned_rows(); ++r) {
      std::uint32_t word = 0;
      for (std::int64_t i = 0; i < 4 && g4 * 4 + i < shape.groups && r < shape.rows; ++i) {
        const std::uint32_t scale = in[r / shape.block_rows * shape.groups + g4 * 4 + i];
        word |= scale << (8 * static_cast<unsigned>(i));
      }
      out[g4 * shape.aligned_rows() + r] = word;
    }
  });
}

/// The inverse: takes each block's scale from its first row.
template <Executor E>
void deep_gemm_unpack_scales(const DeepGemmScaleShape& shape, const std::uint32_t* in, std::uint8_t* out, E& executor) {
  executor.parallel_for((shape.rows + shape.block_rows - 1) / shape.block_rows, [&](std::int64_t block, int) {
    for (std::int64_t g = 0; g < shape.groups; ++g) {
      const std::uint32_t word = in[g / 4 * shape.aligned_rows() + block * shape.block_rows];
      out[block * shape.groups + g] = static_cast<std::uint8_t>(word >> (8 * static_cast<unsigned>(g % 4)));
    }
  });
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
