// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/accelerator/relayout.hpp"
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

/// The place of every value of a tile in the order in which it is stored: [lane][warp][8].
constexpr std::array<MarlinPlace, 1024> marlin_tile(int bits, bool narrow_activations) {
  std::array<MarlinPlace, 1024> tile{};
  const std::array<std::int64_t, 8> order = marlin_order(bits, narrow_activations);
  for (std::int64_t v = 0; v < 1024; ++v) {
    tile[static_cast<std::size_t>(v)] =
        marlin_place(narrow_activations, v / 8 % 4, v / 32, order[static_cast<std::size_t>(v % 8)]);
  }
  return tile;
}

inline constexpr std::array<std::array<MarlinPlace, 1024>, 4> marlin_tiles{marlin_tile(4, false), marlin_tile(4, true),
                                                                           marlin_tile(8, false), marlin_tile(8, true)};

constexpr const std::array<MarlinPlace, 1024>& tile_of(const MarlinShape& shape) {
  return marlin_tiles[(shape.bits == 8 ? 2U : 0U) + (shape.narrow_activations ? 1U : 0U)];
}

/// Where the values of a tile lie in the checkpoint beside the tile's first word: the same for every tile, because
/// tiles begin at whole words.
template <class Packing>
struct MarlinSources {
  std::array<std::int32_t, 1024> word{};
  std::array<std::uint8_t, 1024> shift{};

  explicit MarlinSources(const MarlinShape& shape) {
    const auto& tile = tile_of(shape);
    for (std::size_t v = 0; v < tile.size(); ++v) {
      word[v] = static_cast<std::int32_t>(Packing::word(shape, tile[v].row, tile[v].column));
      shift[v] = static_cast<std::uint8_t>(Packing::place(shape, tile[v].row, tile[v].column) * shape.bits);
    }
  }
};

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

namespace detail {

template <int bits, class Packing, Executor E>
void repack_tiles(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor) {
  constexpr std::uint32_t mask = (1U << bits) - 1U;
  constexpr std::size_t per_word = 32 / bits;
  const MarlinSources<Packing> sources(shape);
  executor.parallel_for(shape.tiles_k() * shape.tiles_n(), [&](std::int64_t t, int) {
    const std::int64_t k0 = t / shape.tiles_n() * shape.tile_k();
    const std::int64_t n0 = t % shape.tiles_n() * shape.tile_n();
    const std::uint32_t* const from = in + Packing::word(shape, k0, n0);
    std::uint32_t* const words = out + t * shape.words_in_tile();
    for (std::size_t w = 0; w < 1024 / per_word; ++w) {
      std::uint32_t word = 0;
      for (std::size_t i = 0; i < per_word; ++i) {
        const std::size_t v = w * per_word + i;
        word |= ((from[sources.word[v]] >> sources.shift[v]) & mask) << (i * bits);
      }
      words[w] = word;
    }
  });
}

template <int bits, class Packing, Executor E>
void unpack_tiles(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor) {
  constexpr std::uint32_t mask = (1U << bits) - 1U;
  constexpr std::size_t per_word = 32 / bits;
  const MarlinSources<Packing> sources(shape);
  executor.parallel_for(shape.tiles_k() * shape.tiles_n(), [&](std::int64_t t, int) {
    const std::int64_t k0 = t / shape.tiles_n() * shape.tile_k();
    const std::int64_t n0 = t % shape.tiles_n() * shape.tile_n();
    std::uint32_t* const to = out + Packing::word(shape, k0, n0);
    const std::uint32_t* const words = in + t * shape.words_in_tile();
    for (std::size_t v = 0; v < 1024; ++v) {
      to[sources.word[v]] |= ((words[v / per_word] >> (v % per_word * bits)) & mask) << sources.shift[v];
    }
  });
}

}  // namespace detail

/// Checkpoint words to Marlin's tiles; tiles stand k-major.
template <class Packing = GptqPacking, Executor E>
void marlin_repack(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor) {
  shape.bits == 4 ? detail::repack_tiles<4, Packing>(shape, in, out, executor)
                  : detail::repack_tiles<8, Packing>(shape, in, out, executor);
}

/// The inverse of marlin_repack: a checkpoint's word lies inside one tile, so tiles are independent pieces.
template <class Packing = GptqPacking, Executor E>
void marlin_unpack(const MarlinShape& shape, const std::uint32_t* in, std::uint32_t* out, E& executor) {
  std::fill_n(out, shape.words(), 0U);
  shape.bits == 4 ? detail::unpack_tiles<4, Packing>(shape, in, out, executor)
                  : detail::unpack_tiles<8, Packing>(shape, in, out, executor);
}

/// GPTQ's act-order: new row k of the words is the checkpoint's row perm[k] (perm sorts g_idx). Done before
/// marlin_repack.
template <Direction direction = Direction::forward, Executor E>
void permute_gptq_rows(const MarlinShape& shape, std::span<const std::int32_t> perm, const std::uint32_t* in,
                       std::uint32_t* out, E& executor) {
  const std::uint32_t mask = (1U << shape.bits) - 1U;
  const auto shift = [&](std::int64_t k) { return static_cast<unsigned>(k % shape.values_in_word() * shape.bits); };
  std::fill_n(out, shape.words(), 0U);
  executor.parallel_for((shape.n + 63) / 64, [&](std::int64_t block, int) {
    for (std::int64_t k = 0; k < shape.k; ++k) {
      const std::int64_t other = perm[static_cast<std::size_t>(k)];
      const std::int64_t from = direction == Direction::forward ? other : k;
      const std::int64_t to = direction == Direction::forward ? k : other;
      for (std::int64_t n = block * 64; n < std::min(shape.n, (block + 1) * 64); ++n) {
        const std::uint32_t value = (in[GptqPacking::word(shape, from, n)] >> shift(from)) & mask;
        out[GptqPacking::word(shape, to, n)] |= value << shift(to);
      }
    }
  });
}

/// AWQ's zero points [G, N * bits / 32] as Marlin reads them: AWQ's interleave undone, columns in the order of grouped
/// scales, and values 0, 2, 4, 6, 1, 3, 5, 7 in a word (8 bits: 0, 2, 1, 3). N % 64.
template <Direction direction = Direction::forward, Executor E>
void marlin_zero_points(const MarlinShape& zeros, const std::uint32_t* in, std::uint32_t* out, E& executor) {
  const std::uint32_t mask = (1U << zeros.bits) - 1U;
  const std::int64_t per_word = zeros.values_in_word();
  const std::array<std::int64_t, 8> order = detail::marlin_order(zeros.bits, false);
  std::fill_n(out, zeros.words(), 0U);
  executor.parallel_for(zeros.k, [&](std::int64_t group, int) {
    for (std::int64_t at = 0; at < zeros.n; ++at) {
      const std::int64_t ordered = at / per_word * per_word + order[static_cast<std::size_t>(at % per_word)];
      const std::int64_t column = ordered / 64 * 64 + ordered % 64 / 8 + ordered % 8 * 8;
      const std::int64_t awq = AwqPacking::word(zeros, group, column);
      const auto awq_shift = static_cast<unsigned>(AwqPacking::place(zeros, group, column) * zeros.bits);
      const std::int64_t marlin = group * (zeros.n / per_word) + at / per_word;
      const auto marlin_shift = static_cast<unsigned>(at % per_word * zeros.bits);
      if constexpr (direction == Direction::forward) {
        out[marlin] |= ((in[awq] >> awq_shift) & mask) << marlin_shift;
      } else {
        out[awq] |= ((in[marlin] >> marlin_shift) & mask) << awq_shift;
      }
    }
  });
}

}  // namespace polymoe::inline POLYMOE_ISA::layout::accelerator
