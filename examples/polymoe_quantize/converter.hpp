// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "examples/polymoe_quantize/stored_matrix.hpp"
#include "examples/support/checkpoint_names.hpp"
#include "examples/support/file_error.hpp"
#include "examples/support/moe_layer_loader.hpp"
#include "examples/support/safetensors_writer.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/config/w13_layout.hpp"
#include "polymoe/execution/executor.hpp"
#include "polymoe/quant/scheme_table.hpp"
#include "polymoe/quant/validate.hpp"
#include "polymoe/quant/weight_matrix.hpp"
#include "polymoe/quantize/weights.hpp"

namespace polymoe::tools {

/// Rewrites a checkpoint with its experts in another weight format, one tensor set for each matrix of each expert under
/// the names of the model; everything else is copied. Needs the memory of one layer's experts and of one output expert.
class CheckpointConverter {
 public:
  /// Raises InputError where the checkpoint has no experts, or has some that the output's names cannot say.
  CheckpointConverter(const Checkpoint& source, const quant::WeightFormat& format)
      : source_(source), format_(format), layers_(find_moe_layers(source.names())) {
    if (layers_.empty()) refuse(source.path(), "experts", "no tensors of experts", "a mixture-of-experts checkpoint");
  }

  const std::vector<MoeLayerName>& layers() const { return layers_; }

  /// `progress(layer, experts done, experts)` is called after each expert; `layer` counts from 0.
  template <Executor E, class Progress>
  void convert(const std::string& path, std::string_view scheme_name, E& executor, Progress&& progress) {
    plan();
    SafetensorsWriter writer(path, {{"format", "pt"}, {"polymoe.scheme", std::string(scheme_name)}}, layouts_);
    for (const auto& [name, index] : copied_) writer.write(index, source_bytes(name));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LoadedExperts experts = load_experts(source_, layers_[i]);
      const LayerShape shape = shape_of(experts);
      for (std::int64_t e = 0; e < shape.num_local_experts; ++e) {
        for_each_matrix(
            layers_[i], experts, shape, e,
            [&](const std::string& stem, const TensorView& weights, std::int64_t rows, std::int64_t columns) {
              quant::QuantizedProjection projection(format_, 1, rows, columns, false);
              projection.quantize_expert(0, weights, W13Layout::concatenated, executor);
              write(writer, StoredMatrix(stem, projection.tensors(), format_, rows, columns));
            });
        progress(i, e + 1, shape.num_local_experts);
      }
    }
    writer.commit();
  }

 private:
  static quant::SchemeInfo info_of(const QuantKey& key) {
    return {.family = *quant::family_of(key),
            .keys = {key, quant_key::none},
            .group_size = quant::checkpoint_group,
            .zero_points = Choice::runtime,
            .name = name(key)};
  }

  /// Sizes of a layer, and a check of all of its tensors.
  LayerShape shape_of(const LoadedExperts& experts) const {
    const quant::SchemeInfo info = info_of(experts.weight_key);
    MoECheckpoint checkpoint = experts.checkpoint;
    if (checkpoint.w13.bias.present() || checkpoint.w2.bias.present()) {
      refuse(source_.path(), "experts", "biases", "experts without them: the names of the output have none");
    }
    static_cast<void>(quant::make_quant_config(info, checkpoint, Activation::runtime));
    return quant::checkpoint_shape(info, checkpoint);
  }

  std::string stem_of(const MoeLayerName& layer, std::int64_t expert, std::size_t matrix) const {
    const std::array<std::string_view, 3> separate{layer.naming->gate, layer.naming->up, layer.naming->down};
    constexpr std::array<std::string_view, 3> unfused{"gate_proj", "up_proj", "down_proj"};
    return layer.prefix + std::string(layer.naming->experts) + "." + std::to_string(expert) + "." +
           std::string((layer.naming->is_fused() ? unfused : separate)[matrix]);
  }

  /// Calls f(stem, weights, rows, columns) with fp32 weights of gate, up and down.
  template <class F>
  void for_each_matrix(const MoeLayerName& layer, const LoadedExperts& experts, const LayerShape& shape,
                       std::int64_t expert, F&& f) const {
    const MoECheckpoint& checkpoint = experts.checkpoint;
    const std::int64_t wide = shape.intermediate_size;
    const quant::WeightMatrix w13 = quant::weight_matrix(checkpoint, checkpoint.w13, experts.weight_key, expert,
                                                         shape.w13_rows(), shape.hidden_size);
    const quant::WeightMatrix w2 =
        quant::weight_matrix(checkpoint, checkpoint.w2, experts.weight_key, expert, shape.hidden_size, wide);
    for (std::size_t matrix = 0; matrix < 3; ++matrix) {
      const quant::WeightMatrix& from = matrix < 2 ? w13 : w2;
      const std::int64_t rows = matrix < 2 ? wide : shape.hidden_size;
      std::vector<float> values(static_cast<std::size_t>(rows * from.columns));
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t stored = matrix < 2 ? w13_row(checkpoint.w13_layout, r, matrix == 1, wide) : r;
        from.values(stored, 0, from.columns, values.data() + r * from.columns);
      }
      const TensorView weights{reinterpret_cast<const std::byte*>(values.data()), DType::f32, {rows, from.columns}, 2};
      f(stem_of(layer, expert, matrix), weights, rows, from.columns);
    }
  }

  /// Every tensor of the output: names, types and shapes.
  void plan() {
    std::unordered_set<std::string> replaced;
    for (const MoeLayerName& layer : layers_) {
      for (std::string& name : MoeLayerLoader(source_, layer).tensor_names()) replaced.insert(std::move(name));
      plan_layer(layer);
    }
    for (const std::string& name : source_.names()) {
      if (replaced.contains(name)) continue;
      const StoredTensor& tensor = *source_.find(name);
      if (!tensor.type.dtype) {
        refuse(source_.path(), name, "type " + std::string(tensor.type.name), "a type that polymoe writes");
      }
      copied_.emplace_back(name, layouts_.size());
      layouts_.push_back({name, *tensor.type.dtype, tensor.shape});
    }
    for (std::size_t i = 0; i < layouts_.size(); ++i) index_.emplace(layouts_[i].name, i);
  }

  void plan_layer(const MoeLayerName& layer) {
    const LoadedExperts experts = load_experts(source_, layer);
    const LayerShape shape = shape_of(experts);
    if (!shape.gated) refuse(source_.path(), layer.prefix, "w1 alone", "gate and up");
    const quant::QuantizedProjection wide(format_, 1, shape.intermediate_size, shape.hidden_size, false);
    const quant::QuantizedProjection down(format_, 1, shape.hidden_size, shape.intermediate_size, false);
    for (std::int64_t e = 0; e < shape.num_local_experts; ++e) {
      for (std::size_t matrix = 0; matrix < 3; ++matrix) {
        const bool is_down = matrix == 2;
        const StoredMatrix stored(stem_of(layer, e, matrix), (is_down ? down : wide).tensors(), format_,
                                  is_down ? shape.hidden_size : shape.intermediate_size,
                                  is_down ? shape.intermediate_size : shape.hidden_size);
        for (const NamedTensor& tensor : stored.tensors()) {
          const auto* const extents = tensor.view.shape.data();
          layouts_.push_back({tensor.name, tensor.view.dtype, {extents, extents + tensor.view.rank}});
        }
      }
    }
  }

  void write(SafetensorsWriter& writer, const StoredMatrix& stored) const {
    for (const NamedTensor& tensor : stored.tensors()) {
      writer.write(index_.at(tensor.name), {tensor.view.data, tensor.view.bytes()});
    }
  }

  std::span<const std::byte> source_bytes(const std::string& name) const {
    const TensorView view = source_.view(name);
    return {view.data, view.bytes()};
  }

  const Checkpoint& source_;
  quant::WeightFormat format_;
  std::vector<MoeLayerName> layers_;
  std::vector<TensorLayout> layouts_;
  std::vector<std::pair<std::string, std::size_t>> copied_;
  std::unordered_map<std::string, std::size_t> index_;
};

}  // namespace polymoe::tools
