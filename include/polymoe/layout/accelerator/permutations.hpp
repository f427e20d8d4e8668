// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>

#include "polymoe/layout/accelerator/relayout.hpp"
#include "polymoe/target/isa_namespace.hpp"

/// The permutations that accelerators' weight formats are made of. Each takes one expert's matrix: `rows` output rows
/// of `columns` bytes. What must divide what stands beside each.
namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

constexpr std::int64_t round_up(std::int64_t size, std::int64_t multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

/// [w1; w3] becomes [w3; w1]: the halves of the rows change places. rows % 2.
constexpr Relayout swap_halves(const ByteMatrix& m) {
  const std::int64_t half = m.rows / 2 * m.columns;
  return {{{2, -half}, {m.rows / 2, m.columns}}, m.columns, half};
}

/// Rows r0, r(M/2), r1, r(M/2 + 1), ...: gate and up side by side. rows % 2.
constexpr Relayout interleave_halves(const ByteMatrix& m) {
  return {{{m.rows / 2, m.columns}, {2, m.rows / 2 * m.columns}}, m.columns};
}

/// The other way: even rows, then odd rows. rows % 2.
constexpr Relayout deinterleave_rows(const ByteMatrix& m) {
  return {{{2, m.columns}, {m.rows / 2, 2 * m.columns}}, m.columns};
}

/// Every pair of rows changes places: (gate, up) becomes (up, gate). rows % 2.
constexpr Relayout swap_row_pairs(const ByteMatrix& m) {
  return {{{m.rows / 2, 2 * m.columns}, {2, -m.columns}}, m.columns, m.columns};
}

/// Groups of `group` gate rows and of `group` up rows in turn (CuTe DSL: 64). rows % (2 * group).
constexpr Relayout interleave_half_groups(const ByteMatrix& m, std::int64_t group) {
  return {{{m.rows / 2 / group, group * m.columns}, {2, m.rows / 2 * m.columns}, {group, m.columns}}, m.columns};
}

/// The two halves of every row, element by element in turn. columns % (2 * element).
constexpr Relayout interleave_column_halves(const ByteMatrix& m, std::int64_t element) {
  return {{{m.rows, m.columns}, {m.columns / 2 / element, element}, {2, m.columns / 2}}, element};
}

/// FlashInfer's rows for TRT-LLM kernels. A tile of a multiple of 128 takes blocks of 32 rows, in which row r becomes
/// row r % 4 * 8 + r / 4; others take blocks of 16, and r becomes r % 2 * 8 + r / 2. rows % block.
constexpr Relayout shuffle_rows(const ByteMatrix& m, std::int64_t tile) {
  const std::int64_t ways = tile % 128 == 0 ? 4 : 2;
  const std::int64_t block = 8 * ways;
  return {{{m.rows / block, block * m.columns}, {ways, m.columns}, {8, ways * m.columns}}, m.columns};
}

/// [M, K] becomes [K / block, M, block]. columns % block.
constexpr Relayout block_major_k(const ByteMatrix& m, std::int64_t block) {
  return {{{m.columns / block, block}, {m.rows, m.columns}}, block};
}

/// Scales for tensor-core instructions: blocks of 128 rows x 4 columns, in which 32 lanes hold 4 rows x 4 columns each:
/// [M/128, 4, 32, K/4, 4] becomes [M/128, K/4, 32, 4, 4]. rows % 128, columns % 4.
constexpr Relayout swizzle_128x4(const ByteMatrix& m) {
  return {{{m.rows / 128, 128 * m.columns}, {m.columns / 4, 4}, {32, m.columns}, {4, 32 * m.columns}}, 4};
}

/// AITER: blocks of 16 rows x 16 bytes, contiguous. rows % 16, columns % 32 elements.
constexpr Relayout aiter_shuffle(const ByteMatrix& m) {
  return {{{m.rows / 16, 16 * m.columns}, {m.columns / 16, 16}, {16, m.columns}}, 16};
}

/// AITER's 4-bit weights by 16-bit activations: [N/16, 16, K0, 4, 16] becomes [N/16, K0, 4, 16, 16]; with gate and up
/// in halves, blocks of the two take turns. rows % 16 (gated: 32), columns % 64.
constexpr Relayout aiter_a16w4(const ByteMatrix& m, bool gate_up) {
  const std::int64_t halves = gate_up ? 2 : 1;
  return {{{m.rows / halves / 16, 16 * m.columns},
           {halves, m.rows / halves * m.columns},
           {m.columns / 64, 64},
           {4, 16},
           {16, m.columns}},
          16};
}

/// The scales beside it. gate_up: [2, N1, 16, K1, 2, 4] becomes [N1, K1, 4, 16, 2, 2 halves]; else [N1, 2, 16, K1, 2,
/// 4] becomes [N1, K1, 4, 16, 2, 2 of N]. rows % 32, columns % 8.
constexpr Relayout aiter_scale_a16w4(const ByteMatrix& m, bool gate_up) {
  const std::int64_t rows_of_block = gate_up ? 16 : 32;
  const std::int64_t other_rows = gate_up ? m.rows / 2 * m.columns : 16 * m.columns;
  return {
      {{m.rows / 32, rows_of_block * m.columns}, {m.columns / 8, 8}, {4, 1}, {16, m.columns}, {2, 4}, {2, other_rows}},
      1};
}

/// e8m0 scales for AITER and for gfx950: [R/32, 2, 16, C/8, 2, 4] becomes [R/32, C/8, 4, 16, 2 of C, 2 of R].
/// rows % 32, columns % 8 (AITER pads rows to 256).
constexpr Relayout e8m0_shuffle(const ByteMatrix& m) {
  return aiter_scale_a16w4(m, false);
}

/// triton_kernels' scales on Hopper, for `warps` warps: [M/32W, 2, W, 2, 8, K/2, 2] becomes
/// [M/32W, W, K/2, 2 (first), 8, 2 of K, 2 (second)]. rows % (32 * warps), columns % 2.
constexpr Relayout hopper_mx_scale(const ByteMatrix& m, std::int64_t warps) {
  const std::int64_t c = m.columns;
  return {{{m.rows / (32 * warps), 32 * warps * c},
           {warps, 16 * c},
           {c / 2, 2},
           {2, 16 * warps * c},
           {8, c},
           {2, 1},
           {2, 8 * c}},
          1};
}

/// triton_kernels' fp4 values on Hopper, bytes of two values along K: [M/16, 2 warp, 4 thread, 2 pair] x
/// [K/32, 4 tile, 2 warp, 4 thread] becomes [M/16, thread, K/32, pair, thread of K, tile, warp of K, warp]. The bits of
/// each four bytes are mixed afterwards (twiddle_fp4). rows % 16, columns % 32.
constexpr Relayout hopper_mx_value(const ByteMatrix& m) {
  const std::int64_t c = m.columns;
  return {{{m.rows / 16, 16 * c}, {4, 2 * c}, {c / 32, 32}, {2, c}, {4, 1}, {4, 8}, {2, 4}, {2, 8 * c}}, 1};
}

/// Rows become columns, element by element.
constexpr Relayout transpose(const ByteMatrix& m, std::int64_t element) {
  return {{{m.columns / element, element}, {m.rows, m.columns}}, element};
}

/// CPU: panels of 32 rows, in which `group` bytes of a row stand together: [32, K] becomes [K/group, 32, group] (bf16:
/// two numbers, int8: four). rows % 32, columns % group.
constexpr Relayout cpu_vnni_pack(const ByteMatrix& m, std::int64_t group) {
  return {{{m.rows / 32, 32 * m.columns}, {m.columns / group, group}, {32, m.columns}}, group};
}

/// CPU: scales [N, G] become [N/32, G, 32]. rows % 32.
constexpr Relayout cpu_scale_pack(const ByteMatrix& m) {
  return {{{m.rows / 32, 32 * m.columns}, {m.columns, 1}, {32, m.columns}}, 1};
}

/// Columns of scales of `element` bytes for Marlin: inside each run of 64 columns, column i + 8 j goes to 8 i + j
/// (grouped scales, 16-bit activations). columns % (64 * element).
constexpr Relayout marlin_scale_grouped(const ByteMatrix& m, std::int64_t element) {
  return {{{m.rows * (m.columns / (64 * element)), 64 * element}, {8, element}, {8, 8 * element}}, element};
}

/// The same for one scale a channel, for 8-bit activations and for biases: inside each run of 32, place 8 i + (0..7)
/// takes columns 2 i + {0, 1, 8, 9, 16, 17, 24, 25}. columns % (32 * element).
constexpr Relayout marlin_scale_single(const ByteMatrix& m, std::int64_t element) {
  return {{{m.rows * (m.columns / (32 * element)), 32 * element}, {4, 2 * element}, {4, 8 * element}}, 2 * element};
}

/// Scales of fp4 and mxfp8: inside each four, 0, 2, 1, 3. columns % (4 * element).
constexpr Relayout marlin_scale_fp8_order(const ByteMatrix& m, std::int64_t element) {
  return {{{m.bytes() / (4 * element), 4 * element}, {2, element}, {2, 2 * element}}, element};
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
