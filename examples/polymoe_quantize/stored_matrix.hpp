// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "examples/support/safetensors_reader.hpp"
#include "examples/support/safetensors_writer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/quantize/weights.hpp"

namespace polymoe::tools {

/// One expert's matrix as other programs name and pack it: what MoeLayerLoader reads (examples/support).
///
/// | scheme | suffixes |
/// |---|---|
/// | fp8 blocks | .weight, .weight_scale_inv (DeepSeek) |
/// | other fp8, mxfp8, int8 | .weight, .weight_scale |
/// | mxfp4 | .weight_packed, .weight_scale (compressed-tensors) |
/// | nvfp4 | .weight, .weight_scale, .weight_scale_2 (ModelOpt) |
/// | integers in groups | .weight_packed, .weight_scale, .weight_zero_point; or .qweight, .scales, .qzeros, .g_idx |
class StoredMatrix {
 public:
  /// `tensors`: of one expert, as QuantizedProjection makes them; they must outlive this.
  StoredMatrix(const std::string& stem, const ProjectionTensors& tensors, const quant::WeightFormat& format,
               std::int64_t rows, std::int64_t columns)
      : format_(format) {
    if (quant::is_wna16(format.key)) {
      add_integers(stem, tensors, rows, columns);
      return;
    }
    const bool is_mxfp4 = format.key == quant_key::mxfp4_static;
    const bool has_blocks = format.key == quant_key::fp8_static_block128;
    add(stem + (is_mxfp4 ? ".weight_packed" : ".weight"), quant::expert_slice(tensors.weight, 0));
    TensorView scale = quant::expert_slice(tensors.weight_scale, 0);
    if (quant::is_per_row(format.key)) scale = reshaped(scale, {rows, 1});
    add(stem + (has_blocks ? ".weight_scale_inv" : ".weight_scale"), scale);
    if (tensors.weight_scale_2.present()) {
      add(stem + ".weight_scale_2", quant::expert_slice(tensors.weight_scale_2, 0));
    }
  }

  const std::vector<NamedTensor>& tensors() const { return tensors_; }

 private:
  void add(const std::string& name, const TensorView& view) { tensors_.push_back({name, view}); }

  static TensorView reshaped(TensorView view, std::initializer_list<std::int64_t> shape) {
    view.rank = 0;
    for (const std::int64_t size : shape) view.shape[static_cast<std::size_t>(view.rank++)] = size;
    return view;
  }

  void add_integers(const std::string& stem, const ProjectionTensors& tensors, std::int64_t rows,
                    std::int64_t columns) {
    const bool plain = format_.pack_format == PackFormat::compressed_tensors;
    const TensorView scale = quant::expert_slice(tensors.weight_scale, 0);
    add(stem + (plain ? ".weight_packed" : ".qweight"), quant::expert_slice(tensors.weight, 0));
    add(stem + (plain ? ".weight_scale" : ".scales"), scale);
    if (format_.zero_points || !plain) {
      add(stem + (plain ? ".weight_zero_point" : ".qzeros"),
          packed_zero_points(quant::expert_slice(tensors.zero_point, 0), scale, rows));
    }
    if (format_.pack_format == PackFormat::gptq) add(stem + ".g_idx", group_index(columns, scale.shape[0]));
  }

  /// Zero points in words as the weights are, along the rows of the matrix. GPTQ keeps z - 1; it and AWQ keep zero
  /// points of symmetric weights, too.
  TensorView packed_zero_points(const TensorView& zeros, const TensorView& scale, std::int64_t rows) {
    const int bits = format_.key.element == QuantElement::uint4b8 ? 4 : 8;
    const std::int64_t in_word = 32 / bits;
    const bool plain = format_.pack_format == PackFormat::compressed_tensors;
    const std::int64_t groups = scale.shape[plain ? 1 : 0];
    const std::int64_t words = (rows + in_word - 1) / in_word;
    const TensorView packed = plain ? new_i32({words, groups}) : new_i32({groups, words});
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t place = row % in_word;
      const auto nibble = format_.pack_format == PackFormat::awq
                              ? std::int64_t{quant::detail::awq_nibble_of_column[static_cast<std::size_t>(place)]}
                              : place;
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int64_t at = plain ? row * groups + group : group * rows + row;
        const std::uint32_t zero =
            zeros.present() ? load_element<std::uint8_t>(zeros.data, at) : std::uint32_t{1} << (bits - 1);
        const std::uint32_t stored = format_.pack_format == PackFormat::gptq ? zero - 1 : zero;
        const std::int64_t word = plain ? row / in_word * groups + group : group * words + row / in_word;
        const std::uint32_t mask = (std::uint32_t{1} << bits) - 1;
        const auto before = load_element<std::uint32_t>(packed.data, word);
        store_element(memory_.back().data(), word, before | ((stored & mask) << (nibble * bits)));
      }
    }
    return packed;
  }

  TensorView group_index(std::int64_t columns, std::int64_t groups) {
    const TensorView index = new_i32({columns});
    for (std::int64_t k = 0; k < columns; ++k) {
      store_element(memory_.back().data(), k, static_cast<std::int32_t>(k / (columns / groups)));
    }
    return index;
  }

  TensorView new_i32(std::initializer_list<std::int64_t> shape) {
    TensorView view = reshaped(TensorView{.dtype = DType::i32}, shape);
    view.data = memory_.emplace_back(view.bytes()).data();
    return view;
  }

  quant::WeightFormat format_;
  std::vector<NamedTensor> tensors_;
  std::deque<std::vector<std::byte>> memory_;
};

}  // namespace polymoe::tools
