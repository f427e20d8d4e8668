// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "polymoe/config/layer.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/layout/storage.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/target/isa_namespace.hpp"

// The kernel format of all CPU microkernels. Each product's weights are cut into panels of 32 columns of the result
// (rows of the checkpoint's matrix); a panel is a run of records along K, so that one thread reads a panel, and panel
// after panel, as one stream. In the first product of a gated layer a panel holds 16 gate columns and the 16 up columns
// that belong to them: one pass gives both, and the activation is applied to the sums while they are in L1.
//
//     expert: [W13 panels][W2 panels][W13 tails][W2 tails]     tail: 32 biases (fp32), 32 column scales (fp32, some)
//
// What a record looks like, a codec says: how many K it spans, how many bytes it takes for 32 columns, and how it is
// unpacked to the K steps of microkernel/block.hpp. Columns and K beyond the matrix are zeros. A tail may go on with
// numbers that all records of a panel share.

namespace polymoe::inline POLYMOE_ISA::layout {

inline constexpr std::int64_t panel_columns = 32;
/// Experts begin with a page.
inline constexpr std::int64_t page_bytes = 4096;

/// The checkpoint rows that are the columns of one panel; -1 where there is none.
using PanelRows = std::array<std::int64_t, panel_columns>;

/// What of a record depends on the checkpoint.
struct RecordShape {
  std::int64_t bytes = 0;        ///< a multiple of 64
  std::int32_t groups = 0;       ///< sets of scales in a record, where codes come with scales of groups
  DType scale = DType::f32;      ///< the type of those scales
  bool zero_points = false;      ///< each set of scales has zero points beside it
  bool group_index = false;      ///< every K says which of the panel's sets of scales it takes
  std::int64_t tail_floats = 0;  ///< of a panel's tail beyond biases and column scales
  DType element = DType::f32;    ///< the type of the numbers, where they keep the checkpoint's
};

/// out = of(row) for each column of a panel, 0 for those that are not there.
template <class Of>
void for_columns(float* out, const PanelRows& rows, Of of) {
  for (std::size_t column = 0; column < rows.size(); ++column) out[column] = rows[column] < 0 ? 0.0F : of(rows[column]);
}

/// How weights stand in a panel and how they become what a microkernel multiplies.
template <class C>
concept Codec = requires(std::byte* record, const std::byte* packed, const quant::WeightMatrix& matrix,
                         const PanelRows& rows, std::int64_t k, const RecordShape& shape, const float* tail,
                         float* shared, const Storage& storage) {
  typename C::Element;                                     // of an unpacked weight
  { C::name() } -> std::convertible_to<std::string_view>;  // of the kernel format
  { C::record_k } -> std::convertible_to<std::int64_t>;    // a multiple of a K step
  { C::is_direct } -> std::convertible_to<bool>;           // records are K steps as they are
  { C::has_column_scales } -> std::convertible_to<bool>;   // the sums of a column are multiplied by a number

  { C::record_shape(storage, k) } -> std::same_as<RecordShape>;  // of a matrix with k columns
  // All records of a panel, and what the sums of its columns are multiplied by where has_column_scales says so.
  { C::pack(record, shape, matrix, rows, shared) } -> std::same_as<void>;
  { C::pack_tail(shared, shape, matrix, rows) } -> std::same_as<void>;  // what all records of a panel share
  { C::unpack(packed, k, shape, tail, record) } -> std::same_as<void>;  // k records -> K steps
};

/// A codec whose weights are better unpacked before than among the products of many rows.
template <class C>
concept UnpacksApart = Codec<C> && C::unpacks_apart;

/// A codec whose weights are integers of a byte, less zero points, times scales of groups along K, for products of
/// integers. An Integers is a record; a group is a part of a run of 32 K, or some runs of a record. For a vector of the
/// columns of a row it has two_quads(run, vector, pair, quads), four K of each column in the bytes of an integer and then
/// the next four; scale and zero(run, part, vector) are those of the group that the part of the run is in.
template <class C>
concept IntegerCodec = Codec<C> && requires(const typename C::Integers& record, const RecordShape& shape) {
  typename C::Integers::Vector;
  { C::Integers::serves(shape) } -> std::same_as<bool>;
  { C::Integers::groups_of_run } -> std::convertible_to<int>;  // 1, or 2 of 16 K
  { C::Integers::most_rows } -> std::convertible_to<int>;      // up to which these products are the fastest
  { record.runs_of_group() } -> std::same_as<std::int64_t>;
};

/// A codec with one set of scales for a record, at least of some shapes, which may multiply the sums of a record instead
/// of its weights.
template <class C>
concept RecordScaledCodec = Codec<C> &&
    requires(const std::byte* packed, const RecordShape& shape, std::byte* out, float* scales) {
  { C::scales_records(shape) } -> std::same_as<bool>;
  { C::unpack_numbers(packed, shape, 0, out) } -> std::same_as<void>;  // a run of 32 K of a record without scales
  { C::record_scales(packed, shape, scales) } -> std::same_as<void>;   // of a record: [32]
};

/// Biases and column scales, with which a panel's tail begins.
template <Codec C>
inline constexpr std::int64_t own_tail_floats = panel_columns*(C::has_column_scales ? 2 : 1);

/// Sizes and places of one product's panels within an expert.
struct PanelMatrix {
  RecordShape record{};
  std::int64_t columns = 0;  ///< of the result, both halves counted
  std::int64_t depth = 0;    ///< K, padded to whole records
  std::int64_t panels = 0;
  std::int64_t panel_bytes = 0;
  std::int64_t tail_floats = 0;
  std::int64_t weights_offset = 0;
  std::int64_t tails_offset = 0;

  const std::byte* panel(const std::byte* expert, std::int64_t index) const noexcept {
    return expert + weights_offset + index * panel_bytes;
  }
  const float* bias(const std::byte* expert, std::int64_t index) const noexcept {
    return reinterpret_cast<const float*>(expert + tails_offset) + index * tail_floats;
  }
};

/// Both products of an expert.
struct ExpertPanels {
  PanelMatrix w13{};
  PanelMatrix w2{};
  std::int64_t bytes = 0;
};

/// Panels of the weights that Codec_ packs.
template <Codec Codec_>
struct Panels {
  using codec = Codec_;

  static constexpr std::string_view name() { return codec::name(); }

  static constexpr ExpertPanels expert_panels(const LayerShape& shape, const Storage& storage) {
    ExpertPanels expert;
    const std::int64_t values_of_panel = shape.gated ? panel_columns / 2 : panel_columns;
    expert.w13 =
        matrix(shape.w13_rows(), divide_up(shape.intermediate_size, values_of_panel), shape.hidden_size, storage);
    Storage of_w2 = storage;
    of_w2.weight = storage.w2_weight;
    expert.w2 = matrix(shape.hidden_size, divide_up(shape.hidden_size, panel_columns), shape.intermediate_size, of_w2);
    expert.w2.weights_offset = expert.w13.panels * expert.w13.panel_bytes;
    expert.w13.tails_offset = expert.w2.weights_offset + expert.w2.panels * expert.w2.panel_bytes;
    expert.w2.tails_offset = expert.w13.tails_offset + tails_bytes(expert.w13);
    expert.bytes = divide_up(expert.w2.tails_offset + tails_bytes(expert.w2), page_bytes) * page_bytes;
    return expert;
  }

  static constexpr std::size_t expert_bytes(const LayerShape& shape, const Storage& storage) {
    return static_cast<std::size_t>(expert_panels(shape, storage).bytes);
  }

  /// Packs one expert; `memory` is 64-byte aligned.
  template <Executor E>
  static void pack_expert(std::byte* memory, const quant::ExpertCheckpoint& checkpoint, const LayerShape& shape,
                          const Storage& storage, E& executor) {
    const ExpertPanels expert = expert_panels(shape, storage);
    const std::int64_t panels = expert.w13.panels + expert.w2.panels;
    const std::int64_t together = packed_together(expert, executor.concurrency());
    executor.parallel_for(divide_up(panels, together), [&](std::int64_t task, int) {
      const std::int64_t end = std::min((task + 1) * together, panels);
      for (std::int64_t index = task * together; index < end; ++index) {
        if (index < expert.w13.panels) {
          pack_panel(memory, expert.w13, index, checkpoint.w13, w13_rows(checkpoint, shape, index));
        } else {
          const std::int64_t panel = index - expert.w13.panels;
          pack_panel(memory, expert.w2, panel, checkpoint.w2, w2_rows(shape, panel));
        }
      }
    });
    // Equal weights are equal bytes, whatever was in the memory before.
    const std::int64_t end = expert.w2.tails_offset + tails_bytes(expert.w2);
    std::memset(memory + end, 0, static_cast<std::size_t>(expert.bytes - end));
  }

 private:
  static constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

  /// Panels that a worker packs one after the other: a huge page of them, if that leaves some work for each. Workers that
  /// come to a new page at the same time would all have the operating system clear one.
  static constexpr std::int64_t packed_together(const ExpertPanels& expert, int workers) {
    constexpr std::int64_t huge_page = std::int64_t{2} << 20;
    const std::int64_t panels = expert.w13.panels + expert.w2.panels;
    const std::int64_t bytes = std::max(expert.w13.panel_bytes, expert.w2.panel_bytes);
    return std::clamp<std::int64_t>(divide_up(huge_page, bytes), 1, std::max<std::int64_t>(panels / (4 * workers), 1));
  }

  static constexpr PanelMatrix matrix(std::int64_t columns, std::int64_t panels, std::int64_t depth,
                                      const Storage& storage) {
    const std::int64_t records = divide_up(depth, codec::record_k);
    const RecordShape record = codec::record_shape(storage, depth);
    return {.record = record,
            .columns = columns,
            .depth = records * codec::record_k,
            .panels = panels,
            .panel_bytes = records * record.bytes,
            .tail_floats = own_tail_floats<codec> + record.tail_floats};
  }

  static constexpr std::int64_t tails_bytes(const PanelMatrix& matrix) {
    return matrix.panels * matrix.tail_floats * static_cast<std::int64_t>(sizeof(float));
  }

  static PanelRows w13_rows(const quant::ExpertCheckpoint& checkpoint, const LayerShape& shape, std::int64_t panel) {
    const std::int64_t intermediate_size = shape.intermediate_size;
    const std::int64_t values = shape.gated ? panel_columns / 2 : panel_columns;
    PanelRows rows{};
    for (std::int64_t column = 0; column < panel_columns; ++column) {
      const std::int64_t i = panel * values + column % values;
      const std::int64_t row =
          column < values ? checkpoint.gate_row(i, intermediate_size) : checkpoint.up_row(i, intermediate_size);
      rows[static_cast<std::size_t>(column)] = i < intermediate_size ? row : -1;
    }
    return rows;
  }

  static PanelRows w2_rows(const LayerShape& shape, std::int64_t panel) {
    PanelRows rows{};
    for (std::int64_t column = 0; column < panel_columns; ++column) {
      const std::int64_t row = panel * panel_columns + column;
      rows[static_cast<std::size_t>(column)] = row < shape.hidden_size ? row : -1;
    }
    return rows;
  }

  static void pack_panel(std::byte* memory, const PanelMatrix& place, std::int64_t panel,
                         const quant::WeightMatrix& matrix, const PanelRows& rows) {
    std::byte* const record = memory + place.weights_offset + panel * place.panel_bytes;
    float* const tail = reinterpret_cast<float*>(memory + place.tails_offset) + panel * place.tail_floats;
    for_columns(tail, rows, [&](std::int64_t row) { return matrix.bias(row); });
    codec::pack(record, place.record, matrix, rows, tail + panel_columns);
    codec::pack_tail(tail + own_tail_floats<codec>, place.record, matrix, rows);
  }
};

}  // namespace polymoe::inline POLYMOE_ISA::layout
