// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/support/checkpoint_names.hpp"
#include "examples/support/file_error.hpp"
#include "examples/support/safetensors_reader.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/numeric/int4.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quant/weight_matrix.hpp"

namespace polymoe::tools {

/// The experts of one layer as the library takes them.
struct LoadedExperts {
  MoECheckpoint checkpoint;  ///< views of `memory` and of the files
  QuantKey weight_key{};
  std::deque<AlignedBuffer> memory;

  /// The activation key that such checkpoints are meant for.
  QuantKey usual_activation() const {
    const bool has_input_scale = checkpoint.w13.input_scale.present();
    if (weight_key == quant_key::fp8_static_tensor) {
      return has_input_scale ? quant_key::fp8_static_tensor : quant_key::fp8_dynamic_tensor;
    }
    if (weight_key == quant_key::fp8_static_channel) return quant_key::fp8_dynamic_token;
    if (weight_key == quant_key::fp8_static_block128) return quant_key::fp8_dynamic_group128;
    if (weight_key == quant_key::mxfp8_static) return quant_key::mxfp8_dynamic;
    if (weight_key == quant_key::nvfp4_static && has_input_scale) return quant_key::nvfp4_dynamic;
    if (weight_key == quant_key::int8_static_channel) return quant_key::int8_dynamic_token;
    return quant_key::none;
  }
};

/// What the tensors do not tell: it is in a checkpoint's config.json.
struct LoadOptions {
  bool gptq_v2 = false;  ///< checkpoint_format "gptq_v2": zero points are stored as they are, not less one
};

/// Gathers the experts of a layer, expert by expert, whatever program wrote them. Raises InputError for tensors that
/// are missing or do not go together; what the scheme asks of their shapes is checked by make_quant_config afterwards.
class MoeLayerLoader {
 public:
  MoeLayerLoader(const Checkpoint& checkpoint, const MoeLayerName& layer, const LoadOptions& options = {})
      : source_(checkpoint), layer_(layer), naming_(*layer.naming), options_(options) {}

  LoadedExperts load() && {
    const std::string stem = layer_.prefix + std::string(naming_.experts) + ".";
    if (naming_.is_fused()) return std::move(*this).load_fused(stem);
    std::vector<std::string> experts;
    for (std::int64_t e = 0; e < layer_.num_experts; ++e) {
      experts.push_back(stem + std::to_string(e) + ".");
      find_naming(experts.back() + std::string(naming_.gate));
    }
    return std::move(*this).load_separate(experts, naming_.gate, naming_.up, naming_.down);
  }

  bool has_shared() const {
    return !naming_.shared.empty() && names_tensors(layer_.prefix + std::string(naming_.shared) + ".gate_proj");
  }

  /// The experts that every token passes, as one expert of its own width.
  LoadedExperts load_shared() && {
    const std::string stem = layer_.prefix + std::string(naming_.shared) + ".";
    return std::move(*this).load_separate({stem}, "gate_proj", "up_proj", "down_proj");
  }

  /// Names of all tensors of the experts: what a converter replaces.
  std::vector<std::string> tensor_names() const {
    const std::string stem = layer_.prefix + std::string(naming_.experts) + ".";
    std::vector<std::string> names;
    for (const std::string& name : source_.names()) {
      if (name.starts_with(stem)) names.push_back(name);
    }
    return names;
  }

 private:
  /// The stored tensors of one matrix of one expert.
  struct Matrix {
    std::string stem;
    TensorView weight, scale, scale_2, zeros, g_idx, input_scale;
  };

  /// All matrices of a product: of each expert gate and up, or down.
  using Matrices = std::vector<std::vector<Matrix>>;

  // ---- finding tensors

  TensorView optional(const std::string& name) const {
    return source_.contains(name) ? source_.view(name) : TensorView{};
  }

  static std::string join(const std::string& stem, std::string_view suffix) { return stem + std::string(suffix); }

  bool has(const std::string& stem, const TensorNaming& row) const {
    return source_.contains(join(stem, row.weight)) && (row.needs.empty() || source_.contains(join(stem, row.needs)));
  }

  bool names_tensors(const std::string& stem) const {
    return std::any_of(tensor_namings.begin(), tensor_namings.end(),
                       [&](const TensorNaming& row) { return has(stem, row); });
  }

  const TensorNaming& find_naming(const std::string& stem) const {
    for (const TensorNaming& row : tensor_namings) {
      if (has(stem, row)) return row;
    }
    refuse(source_.path(), stem, "no weight", "a weight under one of the names that checkpoints give it");
  }

  Matrix matrix(const std::string& stem) const {
    const TensorNaming& row = find_naming(stem);
    Matrix result{stem, source_.view(join(stem, row.weight)), {}, {}, {}, {}, {}};
    const auto fetch = [&](std::string_view suffix) {
      return suffix.empty() ? TensorView{} : optional(join(stem, suffix));
    };
    result.scale = row.scale.empty() ? TensorView{} : source_.view(join(stem, row.scale));
    result.scale_2 = fetch(row.scale_2);
    result.zeros = fetch(row.zeros);
    result.g_idx = fetch(row.g_idx);
    result.input_scale = fetch(row.input_scale);
    return result;
  }

  [[noreturn]] void refuse_matrix(const Matrix& m, const std::string& found, const std::string& expected) const {
    refuse(source_.path(), m.stem, found, expected);
  }

  // ---- one tensor for each matrix of each expert

  LoadedExperts load_separate(const std::vector<std::string>& experts, std::string_view gate, std::string_view up,
                              std::string_view down) && {
    Matrices w13;
    Matrices w2;
    for (const std::string& expert : experts) {
      w13.push_back({matrix(join(expert, gate)), matrix(join(expert, up))});
      w2.push_back({matrix(join(expert, down))});
    }
    recognize(w13[0][0], w2[0][0]);
    gather(result_.checkpoint.w13, w13);
    gather(result_.checkpoint.w2, w2);
    drop_symmetric_zero_points();
    return std::move(result_);
  }

  /// Which weight key and packing it is, from types and shapes of the first expert.
  void recognize(const Matrix& gate, const Matrix& down) {
    const TensorNaming& row = find_naming(gate.stem);
    result_.checkpoint.reciprocal_global_scale = row.reciprocal_scale_2;
    for (const Matrix* const m : {&gate, &down}) {
      if (m->weight.rank != 2) refuse_matrix(*m, quant::describe(m->weight), "a matrix");
    }
    result_.weight_key = weight_key_of(gate, down);
    if (quant::is_wna16(result_.weight_key) && row.weight == ".qweight") {
      const bool is_gptq = gate.weight.shape[1] == gate.scale.shape[1];
      result_.checkpoint.pack_format = is_gptq ? PackFormat::gptq : PackFormat::awq;
    }
  }

  QuantKey weight_key_of(const Matrix& m, const Matrix& down) const {
    const TensorView& scale = m.scale;
    switch (m.weight.dtype) {
      case DType::bf16:
      case DType::f16:
      case DType::f32: return quant_key::none;
      case DType::i8: return quant_key::int8_static_channel;
      case DType::u8: return scale.dtype == DType::f8_e4m3 ? quant_key::nvfp4_static : quant_key::mxfp4_static;
      case DType::f8_e4m3:
        if (scale.dtype == DType::u8 || scale.dtype == DType::e8m0) return quant_key::mxfp8_static;
        // A matrix of one block has one scale, too.
        if (find_naming(m.stem).scale == ".weight_scale_inv") return quant_key::fp8_static_block128;
        if (scale.present() && scale.count() == 1 && m.weight.shape[0] > 1) return quant_key::fp8_static_tensor;
        if (scale.present() && scale.count() == m.weight.shape[0] && !(scale.rank == 2 && scale.shape[1] > 1)) {
          return quant_key::fp8_static_channel;
        }
        return quant_key::fp8_static_block128;
      case DType::i32: return bits_of(m, down) == 8 ? quant_key::int8_static_group : quant_key::int4_static_group;
      default: refuse_matrix(m, quant::describe(m.weight), "a type of weights");
    }
  }

  /// Bits of packed integers: GPTQ's zero points tell, compressed-tensors' rows of the other product.
  std::int64_t bits_of(const Matrix& m, const Matrix& down) const {
    if (m.scale.rank != 2 || down.scale.rank != 2) refuse_matrix(m, quant::describe(m.scale), "a matrix of scales");
    const bool is_gptq_or_awq = find_naming(m.stem).weight == ".qweight";
    std::int64_t bits = 0;
    if (!is_gptq_or_awq) {
      bits = 32 * m.weight.shape[1] / std::max<std::int64_t>(down.weight.shape[0], 1);
    } else if (m.weight.shape[1] != m.scale.shape[1]) {
      bits = 4;  // AWQ packs rows
    } else if (m.zeros.present() && m.zeros.rank == 2) {
      bits = 32 * m.zeros.shape[1] / std::max<std::int64_t>(m.scale.shape[1], 1);
    } else {
      bits = 32 * m.weight.shape[0] / std::max<std::int64_t>(down.scale.shape[1], 1);
    }
    if (bits != 4 && bits != 8) {
      refuse_matrix(m, std::to_string(bits) + " bits a weight in " + quant::describe(m.weight), "4 or 8");
    }
    return bits;
  }

  // ---- gathering

  bool rows_last() const { return result_.checkpoint.pack_format != PackFormat::compressed_tensors; }

  void gather(ProjectionTensors& out, const Matrices& matrices) {
    const QuantKey& key = result_.weight_key;
    const int axis = rows_last() ? 1 : 0;
    out.weight = concatenate(matrices, axis, [](const Matrix& m) { return m.weight; });
    if (key.is_none()) return;
    if (quant::is_per_tensor(key)) {
      out.weight_scale = scalars(matrices, [](const Matrix& m) { return m.scale; });
    } else if (quant::is_per_row(key)) {
      out.weight_scale = concatenate(matrices, 0, [&](const Matrix& m) { return as_f32(as_column(m.scale)); });
      out.weight_scale.rank = 2;  // [E, N, 1] are [E, N]
    } else {
      if (key.group.rows > 1) require_whole_blocks(matrices);
      const bool keep_type = key.scale != QuantScale::f32;
      out.weight_scale =
          concatenate(matrices, axis, [&](const Matrix& m) { return keep_type ? m.scale : as_f32(m.scale); });
    }
    if (key.has_global_scale) out.weight_scale_2 = scalars(matrices, [](const Matrix& m) { return m.scale_2; });
    if (matrices[0][0].zeros.present()) {
      out.zero_point = concatenate(matrices, axis, [&](const Matrix& m) { return zero_points(m); });
    }
    gather_group_index(out, matrices);
    if (quant::may_carry_input_scale(key) && matrices[0][0].input_scale.present()) gather_input_scale(out, matrices);
  }

  /// [E, rows, columns] of 2-d tensors that lie one after the other along an axis.
  template <class Select>
  TensorView concatenate(const Matrices& matrices, int axis, Select&& select) {
    const auto along = static_cast<std::size_t>(axis);
    std::vector<TensorView> model;  // gate and up of the first expert
    TensorView whole;
    std::byte* memory = nullptr;
    for (std::size_t e = 0; e < matrices.size(); ++e) {
      std::vector<TensorView> parts;
      for (const Matrix& m : matrices[e]) parts.push_back(select(m));
      if (e == 0) {
        model = parts;
        whole = shape_of_whole(matrices, parts, along);
        memory = memory_of(whole);
      }
      const std::size_t expert_bytes = whole.bytes() / matrices.size();
      std::size_t offset = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i].dtype != model[i].dtype || parts[i].rank != 2 || parts[i].shape != model[i].shape) {
          refuse_matrix(matrices[e][i], quant::describe(parts[i]),
                        quant::describe(model[i]) + " as in the first expert");
        }
        copy_part(memory + e * expert_bytes + offset, parts[i], whole, axis);
        offset += axis == 0 ? parts[i].bytes() : static_cast<std::size_t>(parts[i].shape[1]) * size_of(whole.dtype);
      }
      scratch_.clear();
    }
    return whole;
  }

  TensorView shape_of_whole(const Matrices& matrices, const std::vector<TensorView>& parts, std::size_t along) {
    std::array<std::int64_t, 2> shape{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const TensorView& part = parts[i];
      const bool fits = part.present() && part.rank == 2 && part.count() > 0 && part.dtype == parts[0].dtype &&
                        part.shape[1 - along] == parts[0].shape[1 - along];
      if (!fits) refuse_matrix(matrices[0][i], quant::describe(part), "a matrix that goes with that of gate");
      shape[along] += part.shape[along];
      shape[1 - along] = part.shape[1 - along];
    }
    return new_tensor(parts[0].dtype, {static_cast<std::int64_t>(matrices.size()), shape[0], shape[1]});
  }

  static void copy_part(std::byte* into, const TensorView& part, const TensorView& whole, int axis) {
    if (axis == 0) {
      std::memcpy(into, part.data, part.bytes());
      return;
    }
    const std::size_t from_row = static_cast<std::size_t>(part.shape[1]) * size_of(part.dtype);
    const std::size_t to_row = static_cast<std::size_t>(whole.shape[2]) * size_of(whole.dtype);
    for (std::size_t r = 0; r < static_cast<std::size_t>(part.shape[0]); ++r) {
      std::memcpy(into + r * to_row, part.data + r * from_row, from_row);
    }
  }

  /// One fp32 number for each matrix: [E] or [E, 2].
  template <class Select>
  TensorView scalars(const Matrices& matrices, Select&& select) {
    const auto parts = static_cast<std::int64_t>(matrices[0].size());
    TensorView whole = new_tensor(DType::f32, {static_cast<std::int64_t>(matrices.size()), parts});
    if (parts == 1) whole.rank = 1;
    std::int64_t at = 0;
    for (const auto& expert : matrices) {
      for (const Matrix& m : expert) store_element(memory_of(whole), at++, scalar(m, select(m)));
    }
    return whole;
  }

  float scalar(const Matrix& m, const TensorView& view) const {
    if (!view.present() || view.count() != 1 || !is_floating_point(view.dtype)) {
      refuse_matrix(m, quant::describe(view), "one scale");
    }
    return load_as_float(view.data, view.dtype, 0);
  }

  /// The scale of an expert's input: gate and up see the same, so the greater one serves both.
  void gather_input_scale(ProjectionTensors& out, const Matrices& matrices) {
    out.input_scale = new_tensor(DType::f32, {static_cast<std::int64_t>(matrices.size())});
    const bool reciprocal = result_.checkpoint.reciprocal_global_scale;
    for (std::size_t e = 0; e < matrices.size(); ++e) {
      float chosen = scalar(matrices[e][0], matrices[e][0].input_scale);
      for (const Matrix& m : matrices[e]) {
        const float other = scalar(m, m.input_scale);
        chosen = reciprocal ? std::min(chosen, other) : std::max(chosen, other);
      }
      store_element(memory_of(out.input_scale), static_cast<std::int64_t>(e), chosen);
    }
  }

  /// Blocks of 128 rows of w1 and of w3 fit one grid only where w1's rows are whole blocks.
  void require_whole_blocks(const Matrices& matrices) const {
    const Matrix& m = matrices[0][0];
    const std::int64_t block = result_.weight_key.group.rows;
    if (matrices[0].size() == 2 && m.weight.shape[0] % block != 0) {
      refuse_matrix(m, std::to_string(m.weight.shape[0]) + " rows in blocks of " + std::to_string(block),
                    "a multiple, so that the blocks of gate and up can stand in one grid");
    }
  }

  // ---- integers in groups

  /// Zero points as layer files hold them: one code a byte, in the shape of the scales.
  TensorView zero_points(const Matrix& m) {
    if (m.zeros.dtype != DType::i32 || m.zeros.rank != 2 || m.scale.rank != 2) {
      refuse_matrix(m, quant::describe(m.zeros), "I32 zero points, packed as the weights are");
    }
    const int bits = result_.weight_key.element == QuantElement::uint4b8 ? 4 : 8;
    const std::int64_t in_word = 32 / bits;
    const PackFormat format = result_.checkpoint.pack_format;
    const std::int64_t rows = m.scale.shape[0];
    const std::int64_t columns = m.scale.shape[1];
    const bool packs_rows = format == PackFormat::compressed_tensors;
    const std::int64_t words = ((packs_rows ? rows : columns) + in_word - 1) / in_word;
    if (m.zeros.shape[packs_rows ? 0 : 1] != words ||
        m.zeros.shape[packs_rows ? 1 : 0] != (packs_rows ? columns : rows)) {
      refuse_matrix(m, "zero points " + quant::describe(m.zeros), "those of the scales " + quant::describe(m.scale));
    }
    const TensorView out = passing_tensor(DType::u8, {rows, columns});
    const bool less_one = format == PackFormat::gptq && !options_.gptq_v2;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) {
        const std::int64_t word = packs_rows ? r / in_word * columns + c : r * words + c / in_word;
        const std::int64_t place = packs_rows ? r % in_word : c % in_word;
        const unsigned at = format == PackFormat::awq
                                ? quant::detail::awq_nibble_of_column[static_cast<std::size_t>(place)]
                                : static_cast<unsigned>(place);
        const auto bits_of_word = load_element<std::uint32_t>(m.zeros.data, word);
        const unsigned code =
            ((bits_of_word >> (static_cast<unsigned>(bits) * at)) & ((1U << bits) - 1U)) + (less_one ? 1U : 0U);
        if (code >> bits != 0) {
          refuse_matrix(m, "the zero point " + std::to_string(code), "at most " + std::to_string((1 << bits) - 1));
        }
        store_element(memory_of(out), r * columns + c, static_cast<std::uint8_t>(code));
      }
    }
    return out;
  }

  /// GPTQ writes zero points even where all are the middle of the codes.
  void drop_symmetric_zero_points() {
    const std::byte middle{result_.weight_key.element == QuantElement::uint4b8 ? std::uint8_t{8} : std::uint8_t{128}};
    TensorView& w13 = result_.checkpoint.w13.zero_point;
    TensorView& w2 = result_.checkpoint.w2.zero_point;
    const auto is_symmetric = [&](const TensorView& zeros) {
      return std::all_of(zeros.data, zeros.data + zeros.count(), [&](std::byte code) { return code == middle; });
    };
    if (w13.present() && w2.present() && is_symmetric(w13) && is_symmetric(w2)) w13 = w2 = TensorView{};
  }

  /// g_idx of GPTQ's desc_act, left out where groups are runs of columns anyway.
  void gather_group_index(ProjectionTensors& out, const Matrices& matrices) {
    if (!matrices[0][0].g_idx.present()) return;
    const std::int64_t columns = matrices[0][0].g_idx.count();
    const std::int64_t groups = out.weight_scale.shape[rows_last() ? 1 : 2];
    const TensorView index = new_tensor(DType::i32, {static_cast<std::int64_t>(matrices.size()), columns});
    bool in_order = true;
    for (std::size_t e = 0; e < matrices.size(); ++e) {
      const TensorView& first = matrices[e][0].g_idx;
      for (const Matrix& m : matrices[e]) {
        if (m.g_idx.dtype != DType::i32 || m.g_idx.rank != 1 || m.g_idx.count() != columns ||
            std::memcmp(m.g_idx.data, first.data, first.bytes()) != 0) {
          refuse_matrix(m, "g_idx " + quant::describe(m.g_idx),
                        "I32 [" + std::to_string(columns) + "], the same for gate and up");
        }
      }
      std::memcpy(memory_of(index) + e * first.bytes(), first.data, first.bytes());
      const std::int64_t run = (columns + groups - 1) / groups;
      for (std::int64_t k = 0; k < columns; ++k) {
        in_order = in_order && load_element<std::int32_t>(first.data, k) == k / run;
      }
    }
    if (!in_order) out.g_idx = index;
  }

  // ---- all experts in one tensor

  LoadedExperts load_fused(const std::string& stem) && {
    const std::string gate_up = stem + std::string(naming_.gate);
    const std::string down = stem + std::string(naming_.down);
    const TensorNaming& row = find_naming(gate_up);
    result_.checkpoint.w13_layout = naming_.fused_layout;
    fuse(result_.checkpoint.w13, gate_up, row);
    fuse(result_.checkpoint.w2, down, row);
    result_.weight_key = row.scale.empty() ? quant_key::none : quant_key::mxfp4_static;
    return std::move(result_);
  }

  /// mxfp4 blocks [E, N, K/32, 16] are [E, N, K/2]; weights that are not quantized stand as [E, K, N].
  void fuse(ProjectionTensors& out, const std::string& stem, const TensorNaming& row) {
    out.weight = source_.view(join(stem, row.weight));
    out.bias = optional(stem + "_bias");
    if (row.scale.empty()) {
      if (out.weight.rank != 3 || !is_floating_point(out.weight.dtype)) {
        refuse(source_.path(), stem, quant::describe(out.weight), "BF16, F16 or F32 of three dimensions");
      }
      out.weight = transposed(out.weight);
      return;
    }
    if (out.weight.rank != 4 || out.weight.dtype != DType::u8 || out.weight.shape[3] != 16) {
      refuse(source_.path(), join(stem, row.weight), quant::describe(out.weight), "U8 [E, N, K/32, 16]");
    }
    out.weight.rank = 3;
    out.weight.shape = {out.weight.shape[0], out.weight.shape[1], out.weight.shape[2] * 16, 0};
    out.weight_scale = source_.view(join(stem, row.scale));
  }

  TensorView transposed(const TensorView& view) {
    const std::int64_t rows = view.shape[1];
    const std::int64_t columns = view.shape[2];
    const TensorView out = new_tensor(view.dtype, {view.shape[0], columns, rows});
    const std::size_t size = size_of(view.dtype);
    constexpr std::int64_t tile = 32;
    for (std::int64_t e = 0; e < view.shape[0]; ++e) {
      const std::byte* const from = view.data + static_cast<std::size_t>(e * rows * columns) * size;
      std::byte* const to = memory_of(out) + static_cast<std::size_t>(e * rows * columns) * size;
      for (std::int64_t r0 = 0; r0 < rows; r0 += tile) {
        for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
          for (std::int64_t r = r0; r < std::min(rows, r0 + tile); ++r) {
            for (std::int64_t c = c0; c < std::min(columns, c0 + tile); ++c) {
              std::memcpy(to + static_cast<std::size_t>(c * rows + r) * size,
                          from + static_cast<std::size_t>(r * columns + c) * size, size);
            }
          }
        }
      }
    }
    return out;
  }

  // ---- tensors of our own

  static TensorView tensor_in(std::deque<AlignedBuffer>& memory, DType dtype,
                              std::initializer_list<std::int64_t> shape) {
    TensorView view;
    view.dtype = dtype;
    for (const std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
    view.data = memory.emplace_back(view.bytes()).data();
    return view;
  }

  TensorView new_tensor(DType dtype, std::initializer_list<std::int64_t> shape) {
    return tensor_in(result_.memory, dtype, shape);
  }

  /// One that is gone after the expert whose it is has been copied.
  TensorView passing_tensor(DType dtype, std::initializer_list<std::int64_t> shape) {
    return tensor_in(scratch_, dtype, shape);
  }

  /// Of a tensor that one of the above made.
  static std::byte* memory_of(const TensorView& view) { return const_cast<std::byte*>(view.data); }

  static TensorView as_column(TensorView view) {
    if (view.present() && view.rank == 1) {
      view.rank = 2;
      view.shape[1] = 1;
    }
    return view;
  }

  TensorView as_f32(const TensorView& view) {
    if (!view.present() || view.dtype == DType::f32 || !is_floating_point(view.dtype) || view.rank != 2) return view;
    const TensorView out = passing_tensor(DType::f32, {view.shape[0], view.shape[1]});
    for (std::int64_t i = 0; i < view.count(); ++i) {
      store_element(memory_of(out), i, load_as_float(view.data, view.dtype, i));
    }
    return out;
  }

  const Checkpoint& source_;
  const MoeLayerName& layer_;
  const ExpertNaming& naming_;
  LoadOptions options_;
  LoadedExperts result_;
  std::deque<AlignedBuffer> scratch_;
};

/// Gathers the experts of one of find_moe_layers(checkpoint.names()).
inline LoadedExperts load_experts(const Checkpoint& checkpoint, const MoeLayerName& layer,
                                  const LoadOptions& options = {}) {
  return MoeLayerLoader(checkpoint, layer, options).load();
}

}  // namespace polymoe::tools
