// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/e2m1.hpp"
#include "polymoe/numeric/e4m3.hpp"
#include "polymoe/numeric/int4.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::quant {

namespace detail {

/// AWQ: which nibble of a word holds column c of its eight (layer_file.md: nibble i holds column order[i]).
inline constexpr std::array<unsigned, 8> awq_nibble_of_column{0, 4, 1, 5, 2, 6, 3, 7};

}  // namespace detail

/// What a tensor holds for each row of a matrix, as bytes in the order of its columns. A row's units follow each other, or
/// lie apart where a tensor has rows side by side.
struct StoredRows {
  const std::byte* data = nullptr;
  std::int64_t row_bytes = 0;
  std::int64_t row_stride = 0;  ///< from the first unit of a row to the next row's
  std::int64_t unit_bytes = 1;
  std::int64_t unit_stride = 1;

  /// Each row is one run of bytes.
  constexpr bool are_runs() const noexcept { return unit_bytes == unit_stride; }

  [[gnu::always_inline]] const std::byte* row(std::int64_t index) const noexcept { return data + index * row_stride; }

  /// Bytes [first, first + count) of a row; whole units.
  [[gnu::always_inline]] void read(std::int64_t index, std::int64_t first, std::int64_t count,
                                   std::byte* out) const noexcept {
    if (are_runs()) {
      std::memcpy(out, row(index) + first, static_cast<std::size_t>(count));
      return;
    }
    const std::byte* const from = row(index) + first / unit_bytes * unit_stride;
    switch (unit_bytes) {
      case 1: return gather<std::uint8_t>(from, count, out);
      case 2: return gather<std::uint16_t>(from, count, out);
      default: return gather<std::uint32_t>(from, count, out);
    }
  }

 private:
  template <class Unit>
  [[gnu::always_inline]] void gather(const std::byte* from, std::int64_t count, std::byte* out) const noexcept {
    constexpr auto bytes = static_cast<std::int64_t>(sizeof(Unit));
    for (std::int64_t i = 0; i < count; i += bytes, from += unit_stride) std::memcpy(out + i, from, sizeof(Unit));
  }
};

/// One expert's W13 or W2 as the checkpoint stores it: [rows, columns] = [N, K] in logical terms, rows in the
/// checkpoint's order. A weight is
///
///     number(code(row, column)) * scale(row, g) * global_scale(row),   g = group_of(column),
///
/// where number() decodes fp8 and fp4, and is code - zero(row, g) for integers. A packer for a kernel reads the codes
/// and the scales; value() is for the judge.
struct WeightMatrix {
  ProjectionTensors tensors{};  ///< each cut down to this expert
  QuantKey key{};
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t columns_per_scale = 0;  ///< a run of K with one scale; `columns` where a row has just one
  std::int64_t rows_per_scale = 1;     ///< 128 for blocks; 0: one scale for the matrix, or one for w1 and one for w3
  std::int64_t scale_row_stride = 0;   ///< elements from one row of scales (and zero points) to the next
  std::int64_t scale_group_stride = 1;
  PackFormat pack_format = PackFormat::compressed_tensors;
  W13Layout row_order = W13Layout::concatenated;  ///< which rows are w3's, where w1 and w3 have scales of their own
  bool reciprocal_global_scale = false;

  /// Groups of columns: scales in a row.
  constexpr std::int64_t groups() const noexcept {
    return columns_per_scale == 0 ? 1 : (columns + columns_per_scale - 1) / columns_per_scale;
  }

  /// The group of a column; with a g_idx (GPTQ's desc_act) neighbours may be of different groups.
  [[gnu::always_inline]] std::int64_t group_of(std::int64_t column) const noexcept {
    if (tensors.g_idx.present()) return load_element<std::int32_t>(tensors.g_idx.data, column);
    return columns_per_scale == 0 ? 0 : column / columns_per_scale;
  }

  /// Groups are runs of columns_per_scale columns, one after the other.
  constexpr bool has_groups_in_order() const noexcept { return !tensors.g_idx.present(); }

  // ---- codes

  /// Stored codes of columns [first, first + count) of a row, one a byte: e4m3's 8 bits, e2m1's 4, int8's two's
  /// complement, the unsigned code of wna16 (4 or 8 bits). Not for unquantized weights.
  [[gnu::always_inline]] void codes(std::int64_t row, std::int64_t first, std::int64_t count,
                                    std::uint8_t* out) const noexcept {
    const std::byte* const data = tensors.weight.data;
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(data);
    switch (key.element) {
      case QuantElement::none: return;
      case QuantElement::f8_e4m3:
      case QuantElement::i8: std::memcpy(out, data + row * columns + first, static_cast<std::size_t>(count)); return;
      case QuantElement::e2m1: return unpack_nibbles(bytes + row * (columns / 2), first, count, out);
      case QuantElement::uint4b8:
        if (pack_format == PackFormat::compressed_tensors) {
          return unpack_nibbles(bytes + row * (columns / 2), first, count, out);
        }
        if (pack_format == PackFormat::gptq) {
          for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t k = first + i;
            out[i] = nibble(load_element<std::uint32_t>(data, k / 8 * rows + row), static_cast<unsigned>(k % 8));
          }
          return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
          out[i] = nibble(load_element<std::uint32_t>(data, (first + i) * (rows / 8) + row / 8),
                          detail::awq_nibble_of_column[static_cast<std::size_t>(row % 8)]);
        }
        return;
      case QuantElement::uint8b128:
        if (pack_format == PackFormat::compressed_tensors) {
          std::memcpy(out, data + row * columns + first, static_cast<std::size_t>(count));
          return;
        }
        for (std::int64_t i = 0; i < count; ++i) {
          const std::int64_t k = first + i;
          out[i] = bytes[(k / 4 * rows + row) * 4 + k % 4];
        }
        return;
    }
  }

  /// Weights in bytes: codes of 8 bits, two codes of 4 bits with the lower nibble first, or unquantized numbers. Not where
  /// has_stored_codes() denies it.
  constexpr StoredRows stored_codes() const noexcept {
    const std::int64_t row_bytes = key.is_none() ? columns * static_cast<std::int64_t>(size_of(tensors.weight.dtype))
                                   : key.element == QuantElement::e2m1 || key.element == QuantElement::uint4b8
                                       ? columns / 2
                                       : columns;
    if (is_wna16(key) && pack_format == PackFormat::gptq) {
      constexpr std::int64_t word = sizeof(std::uint32_t);  // of codes of one row
      return {tensors.weight.data, row_bytes, word, word, rows * word};
    }
    return {tensors.weight.data, row_bytes, row_bytes};
  }

  /// A word of AWQ is of eight rows.
  constexpr bool has_stored_codes() const noexcept {
    return key.element != QuantElement::uint4b8 || pack_format != PackFormat::awq;
  }

  /// All codes of a row.
  [[gnu::always_inline]] void codes_row(std::int64_t row, std::uint8_t* out) const noexcept {
    codes(row, 0, columns, out);
  }

  // ---- scales and zero points

  /// The scale of a group of columns, exact in fp32 whatever its stored type (the block scale of nvfp4).
  [[gnu::always_inline]] float scale(std::int64_t row, std::int64_t group) const noexcept {
    return tensors.weight_scale.present()
               ? load_as_float(tensors.weight_scale.data, tensors.weight_scale.dtype, scale_index(row, group))
               : 1.0F;
  }

  /// The stored byte of an e8m0 or e4m3 scale.
  [[gnu::always_inline]] std::uint8_t scale_code(std::int64_t row, std::int64_t group) const noexcept {
    return load_element<std::uint8_t>(tensors.weight_scale.data, scale_index(row, group));
  }

  /// The scales of groups in their own type, where rows have groups; a row of them is for rows_per_scale rows.
  constexpr StoredRows stored_scales() const noexcept {
    return stored_groups(tensors.weight_scale.data, static_cast<std::int64_t>(size_of(tensors.weight_scale.dtype)));
  }

  /// The zero points, a byte each, where has_zero_points().
  constexpr StoredRows stored_zero_points() const noexcept { return stored_groups(tensors.zero_point.data, 1); }

  /// nvfp4's second scale, of the whole matrix or of w1 or w3; 1 for other keys.
  [[gnu::always_inline]] float global_scale(std::int64_t row) const noexcept {
    if (!tensors.weight_scale_2.present()) return 1.0F;
    const std::int64_t index = tensors.weight_scale_2.count() == 2 ? part_of(row) : 0;
    const float stored = load_element<float>(tensors.weight_scale_2.data, index);
    return reciprocal_global_scale ? 1.0F / stored : stored;
  }

  bool has_zero_points() const noexcept { return tensors.zero_point.present(); }

  /// What is taken from an integer code: the checkpoint's zero point, else 8 (int4) or 128 (int8) of wna16, else 0.
  [[gnu::always_inline]] std::int32_t zero(std::int64_t row, std::int64_t group) const noexcept {
    if (tensors.zero_point.present()) {
      return load_element<std::uint8_t>(tensors.zero_point.data, scale_index(row, group));
    }
    if (key.element == QuantElement::uint4b8) return 8;
    return key.element == QuantElement::uint8b128 ? 128 : 0;
  }

  // ---- weights

  /// The exact value of one weight (numerics.md, section 4, "Weight keys"), evaluated in double.
  [[gnu::always_inline]] double value(std::int64_t row, std::int64_t column) const noexcept {
    if (key.is_none()) return static_cast<double>(stored_float(row, column));
    std::uint8_t code = 0;
    codes(row, column, 1, &code);
    const std::int64_t group = group_of(column);
    return static_cast<double>(number(code, row, group)) * static_cast<double>(scale(row, group)) *
           static_cast<double>(global_scale(row));
  }

  /// Columns [first, first + count) of a row in fp32, rounded at most twice; `count` may be anything up to a row.
  [[gnu::always_inline]] void values(std::int64_t row, std::int64_t first, std::int64_t count,
                                     float* out) const noexcept {
    if (key.is_none()) {
      for (std::int64_t i = 0; i < count; ++i) out[i] = stored_float(row, first + i);
      return;
    }
    constexpr std::int64_t chunk = 128;
    std::uint8_t code[chunk];
    const float global = global_scale(row);
    for (std::int64_t begin = 0; begin < count; begin += chunk) {
      const std::int64_t end = begin + chunk < count ? begin + chunk : count;
      codes(row, first + begin, end - begin, code);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t group = group_of(first + i);
        out[i] = number(code[i - begin], row, group) * scale(row, group) * global;
      }
    }
  }

  /// The number that a code stands for, before any scale: exact.
  [[gnu::always_inline]] float number(std::uint8_t code, std::int64_t row, std::int64_t group) const noexcept {
    switch (key.element) {
      case QuantElement::f8_e4m3: return e4m3_decode(code);
      case QuantElement::e2m1: return e2m1_decode(code);
      case QuantElement::i8: return static_cast<float>(static_cast<std::int8_t>(code));
      case QuantElement::uint4b8:
      case QuantElement::uint8b128: return static_cast<float>(code - zero(row, group));
      case QuantElement::none: break;
    }
    return 0.0F;
  }

  /// The bias of one row; 0 where the checkpoint has none.
  [[gnu::always_inline]] float bias(std::int64_t row) const noexcept {
    return tensors.bias.present() ? load_as_float(tensors.bias.data, tensors.bias.dtype, row) : 0.0F;
  }

 private:
  [[gnu::always_inline]] static void unpack_nibbles(const std::uint8_t* row, std::int64_t first, std::int64_t count,
                                                    std::uint8_t* out) noexcept {
    for (std::int64_t i = 0; i < count; ++i) out[i] = nibble(row, static_cast<std::size_t>(first + i));
  }

  constexpr StoredRows stored_groups(const std::byte* data, std::int64_t bytes) const noexcept {
    return {data, groups() * bytes, scale_row_stride * bytes, bytes, scale_group_stride * bytes};
  }

  [[gnu::always_inline]] float stored_float(std::int64_t row, std::int64_t column) const noexcept {
    return load_as_float(tensors.weight.data, tensors.weight.dtype, row * columns + column);
  }

  /// 0: a row of w1, 1: of w3.
  constexpr std::int64_t part_of(std::int64_t row) const noexcept {
    return row_order == W13Layout::interleaved ? row % 2 : row / (rows / 2);
  }

  [[gnu::always_inline]] std::int64_t scale_index(std::int64_t row, std::int64_t group) const noexcept {
    if (rows_per_scale == 0) return tensors.weight_scale.count() == 2 ? part_of(row) : 0;
    // Asked for each group of each row: a division would take longer than what is done with the group.
    const std::int64_t scale_row = rows_per_scale == 1 ? row : row / rows_per_scale;
    return scale_row * scale_row_stride + group * scale_group_stride;
  }
};

/// Everything a checkpoint says of one expert.
struct ExpertCheckpoint {
  WeightMatrix w13{};  ///< [2I, H] in the checkpoint's row order, or [I, H]
  WeightMatrix w2{};   ///< [H, I]
  W13Layout w13_layout = W13Layout::concatenated;

  /// Row of w13 that holds gate (or w1) i.
  constexpr std::int64_t gate_row(std::int64_t i, std::int64_t intermediate_size) const {
    return w13.rows == intermediate_size ? i : w13_row(w13_layout, i, false, intermediate_size);
  }
  /// Row of w13 that holds up i; only where the activation is gated.
  constexpr std::int64_t up_row(std::int64_t i, std::int64_t intermediate_size) const {
    return w13_row(w13_layout, i, true, intermediate_size);
  }
};

/// The slice of `tensor` [E, ...] that belongs to `expert`; absent stays absent.
constexpr TensorView expert_slice(const TensorView& tensor, std::int64_t expert) {
  if (!tensor.present()) return tensor;
  TensorView slice = tensor;
  slice.rank = tensor.rank - 1;
  for (std::size_t i = 0; i + 1 < slice.shape.size(); ++i) slice.shape[i] = tensor.shape[i + 1];
  slice.data += static_cast<std::int64_t>(slice.bytes()) * expert;
  return slice;
}

constexpr ProjectionTensors expert_slice(const ProjectionTensors& tensors, std::int64_t expert) {
  return {expert_slice(tensors.weight, expert),
          expert_slice(tensors.weight_scale, expert),
          expert_slice(tensors.weight_scale_2, expert),
          expert_slice(tensors.zero_point, expert),
          tensors.input_scale,
          expert_slice(tensors.g_idx, expert),
          expert_slice(tensors.bias, expert)};
}

/// One expert's matrix [rows, columns] of a checkpoint that make_quant_config has accepted.
constexpr WeightMatrix weight_matrix(const MoECheckpoint& checkpoint, const ProjectionTensors& tensors,
                                     const QuantKey& key, std::int64_t expert, std::int64_t rows,
                                     std::int64_t columns) {
  WeightMatrix matrix;
  matrix.tensors = expert_slice(tensors, expert);
  matrix.key = key;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.columns_per_scale = columns;
  matrix.pack_format = checkpoint.pack_format;
  matrix.row_order = checkpoint.w13_layout;
  matrix.reciprocal_global_scale = checkpoint.reciprocal_global_scale;
  if (key.is_none()) return matrix;
  TensorView& scale = matrix.tensors.weight_scale;
  if (key.scale == QuantScale::e8m0) scale.dtype = DType::e8m0;  // files store these bytes as U8
  if (is_wna16(key)) {
    const bool rows_last = checkpoint.pack_format != PackFormat::compressed_tensors;
    const std::int64_t groups = scale.shape[rows_last ? 0 : 1];
    matrix.columns_per_scale = (columns + groups - 1) / groups;
    matrix.scale_row_stride = rows_last ? 1 : groups;
    matrix.scale_group_stride = rows_last ? rows : 1;
    return matrix;
  }
  if (is_per_row(key)) {
    matrix.scale_row_stride = 1;
  } else if (is_per_tensor(key)) {
    matrix.rows_per_scale = 0;
  } else {
    matrix.columns_per_scale = key.group.columns;
    matrix.rows_per_scale = key.group.rows;
    matrix.scale_row_stride = matrix.groups();
  }
  return matrix;
}

template <Scheme S>
constexpr ExpertCheckpoint expert_checkpoint(const MoECheckpoint& checkpoint, std::int64_t expert,
                                             const LayerShape& shape) {
  const QuantKey& key = S::keys.weight;
  return {weight_matrix(checkpoint, checkpoint.w13, key, expert, shape.w13_rows(), shape.hidden_size),
          weight_matrix(checkpoint, checkpoint.w2, key, expert, shape.hidden_size, shape.intermediate_size),
          checkpoint.w13_layout};
}

}  // namespace polymoe::quant
