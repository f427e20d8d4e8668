// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "polymoe/execution/executor.hpp"
#include "polymoe/target/isa_namespace.hpp"

/// Marlin's weights: tiles in the order in which the lanes of a warp multiply them.
namespace polymoe::inline POLYMOE_ISA::layout::accelerator {

/// How Marlin stores K x N weights.
struct MarlinShape {
  std::int64_t k = 0;               ///< a multiple of 16 (8-bit activations: 32)
  std::int64_t n = 0;               ///< a multiple of 64 (8-bit activations: 32)
  int bits = 4;                     ///< 4 or 8
  bool narrow_activations = false;  ///< activations of 8 bits

  constexpr std::int64_t tile_k() const { return narrow_activations ? 32 : 16; }
  constexpr std::int64_t tile_n() const { return narrow_activations ? 32 : 64; }
  constexpr std::int64_t tiles_k() const { return k / tile_k(); }
  constexpr std::int64_t tiles_n() const { return n / tile_n(); }
  constexpr std::int64_t values_in_word() const { return 32 / bits; }
  constexpr std::int64_t words_in_tile() const { return tile_k() * tile_n() / values_in_word(); }
  constexpr std::int64_t words() const { return k * n / values_in_word(); }
};

namespace detail {

/// A value's place inside a tile.
struct MarlinPlace {
  std::int64_t row;
  std::int64_t column;
};

/// The i-th of the eight values that a lane holds, in the order of the fragment.
constexpr MarlinPlace marlin_place(bool narrow_activations, std::int64_t warp, std::int64_t lane, std::int64_t i) {
  if (narrow_activations) {
    const std::int64_t row = lane % 4 * 4 + i % 4 + i / 4 * 16;
    return {row, warp / 2 * 16 + warp % 2 * 8 + lane / 4};
  }
  constexpr std::array<std::int64_t, 4> rows{0, 1, 8, 9};
  return {lane % 4 * 2 + rows[static_cast<std::size_t>(i % 4)], warp * 16 + lane / 4 + i / 4 * 8};
}

/// Which of the eight values stands at place i of the word (4 bits), or at byte i of the two words (8 bits).
constexpr std::array<std::int64_t, 8> marlin_order(int bits, bool narrow_activations) {
  if (bits == 4) {
    return narrow_activations ? std::array<std::int64_t, 8>{0, 4, 1, 5, 2, 6, 3, 7}
                              : std::array<std::int64_t, 8>{0, 2, 4, 6, 1, 3, 5, 7};
  }
  return narrow_activations ? std::array<std::int64_t, 8>{0, 1, 2, 3, 4, 5, 6, 7}
                            : std::array<std::int64_t, 8>{0, 2, 1, 3, 4, 6, 5, 7};
}

/// The value's source offset beside the tile's corner, for every place of a tile: [lane][warp][8].
struct MarlinTile {
  std::array<std::int16_t, 32 * 4 * 8> row{};
  std::array<std::int16_t, 32 * 4 * 8> column{};
};

constexpr MarlinTile marlin_tile(int bits, bool narrow_activations) {
  MarlinTile tile;
  const std::array<std::int64_t, 8> order = marlin_order(bits, narrow_activations);
  for (std::int64_t lane = 0; lane < 32; ++lane) {
    for (std::int64_t warp = 0; warp < 4; ++warp) {
      for (std::int64_t i = 0; i < 8; ++i) {
        const MarlinPlace place = marlin_place(narrow_activations, warp, lane, order[static_cast<std::size_t>(i)]);
        const auto at = static_cast<std::size_t>((lane * 4 + warp) * 8 + i);
        tile.row[at] = static_cast<std::int16_t>(place.row);
        tile.column[at] = static_cast<std::int16_t>(place.column);
      }
    }
  }
  return tile;
}

inline constexpr std::array<MarlinTile, 4> marlin_tiles{marlin_tile(4, false), marlin_tile(4, true),
                                                        marlin_tile(8, false), marlin_tile(8, true)};

constexpr const MarlinTile& tile_of(const MarlinShape& shape) {
  return marlin_tiles[(shape.bits == 8 ? 2U : 0U) + (shape.narrow_activations ? 1U : 0U)];
}

}  // namespace detail

/// Where GPTQ keeps weight (k, n): 32 / bits values of a column in one word, [K * bits / 32, N].
struct GptqPacking {
  static constexpr std::int64_t word(const MarlinShape& shape, std::int64_t k, std::int64_t n) {
    return k / shape.values_in_word() * shape.n + n;
  }
  static constexpr std::int64_t place(const MarlinShape& shape, std::int64_t k, std::int64_t) {
    return k % shape.values_in_word();
  }
};

/// Where AWQ keeps it: 32 / bits values of a row in one word, [K, N * bits / 32], interleaved.
struct AwqPacking {
  static constexpr std::int64_t word(const MarlinShape& shape, std::int64_t k, std::int64_t n) {
    return k * (shape.n / shape.values_in_word()) + n / shape.values_in_word();
  }
  static constexpr std::int64_t place(const MarlinShape& shape, std::int64_t, std::int64_t n) {
    constexpr std::array<std::int64_t, 8> four{0, 4, 1, 5, 2, 6, 3, 7};
    constexpr std::array<std::int64_t, 4> eight{0, 2, 1, 3};
    return shape.bits == 4 ? four[static_cast<std::size_t>(n % 8)] : eight[static_cast<std::size_t>(n % 4)];
  }
};

/// Checkpoint words to Marlin's tiles; tiles stand k-major. `perm` (GPTQ's act-order) gives the checkpoint's row of
/// each k, empty: as they stand.
template <class Packing = GptqPacking, Executor E>
void marlin_repack(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor,
                   std::span<const std::int32_t> perm = {}) {
  const detail::MarlinTile& tile = detail::tile_of(shape);
  const std::uint32_t mask = shape.bits == 4 ? 0xFU : 0xFFU;
  const auto bits = static_cast<unsigned>(shape.bits);
  executor.parallel_for(shape.tiles_k() * shape.tiles_n(), [&](std::int64_t t, int) {
    const std::int64_t k0 = t / shape.tiles_n() * shape.tile_k();
    const std::int64_t n0 = t % shape.tiles_n() * shape.tile_n();
    std::uint32_t* const words = out + t * shape.words_in_tile();
    for (std::int64_t w = 0; w < shape.words_in_tile(); ++w) {
      std::uint32_t word = 0;
      for (std::int64_t i = 0; i < shape.values_in_word(); ++i) {
        const auto at = static_cast<std::size_t>(w * shape.values_in_word() + i);
        const std::int64_t logical = k0 + tile.row[at];
        const std::int64_t k = perm.empty() ? logical : perm[static_cast<std::size_t>(logical)];
        const std::int64_t n = n0 + tile.column[at];
        const auto from = static_cast<unsigned>(Packing::place(shape, k, n)) * bits;
        word |= ((in[Packing::word(shape, k, n)] >> from) & mask) << (static_cast<unsigned>(i) * bits);
      }
      words[w] = word;
    }
  });
}

/// The inverse of marlin_repack. Every tile writes whole GPTQ words, and AWQ words lie inside one tile.
template <class Packing = GptqPacking, Executor E>
void marlin_unpack(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor,
                   std::span<const std::int32_t> perm = {}) {
  const detail::MarlinTile& tile = detail::tile_of(shape);
  const std::uint32_t mask = shape.bits == 4 ? 0xFU : 0xFFU;
  const auto bits = static_cast<unsigned>(shape.bits);
  executor.parallel_for((shape.words() + 4095) / 4096, [&](std::int64_t p, int) {
    for (std::int64_t i = p * 4096; i < shape.words() && i < (p + 1) * 4096; ++i) out[i] = 0;
  });
  // Act-order scatters the rows of a word over tiles, so then columns of tiles are the independent pieces.
  executor.parallel_for(shape.tiles_n(), [&](std::int64_t tn, int) {
    for (std::int64_t tk = 0; tk < shape.tiles_k(); ++tk) {
      const std::uint32_t* const words = in + (tk * shape.tiles_n() + tn) * shape.words_in_tile();
      for (std::int64_t w = 0; w < shape.words_in_tile(); ++w) {
        for (std::int64_t i = 0; i < shape.values_in_word(); ++i) {
          const auto at = static_cast<std::size_t>(w * shape.values_in_word() + i);
          const std::int64_t logical = tk * shape.tile_k() + tile.row[at];
          const std::int64_t k = perm.empty() ? logical : perm[static_cast<std::size_t>(logical)];
          const std::int64_t n = tn * shape.tile_n() + tile.column[at];
          const std::uint32_t value = (words[w] >> (static_cast<unsigned>(i) * bits)) & mask;
          out[Packing::word(shape, k, n)] |= value << (static_cast<unsigned>(Packing::place(shape, k, n)) * bits);
        }
      }
    }
  });
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
