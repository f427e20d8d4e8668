// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "polymoe/config/layer.hpp"
#include "polymoe/execution/serial_executor.hpp"
#include "polymoe/execution/workspace.hpp"
#include "polymoe/experts/arguments.hpp"
#include "polymoe/experts/layer.hpp"
#include "polymoe/experts/reference.hpp"
#include "polymoe/layout/packed_weights.hpp"
#include "polymoe/numeric/convert.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/quant/weight_matrix.hpp"

// A random layer, and what the reference makes of it.

namespace polymoe::test {

/// Threads that are started for each call: slow, and different each time.
struct ThreadsExecutor {
  int threads = 1;

  int concurrency() const { return threads; }

  template <class F>
  void parallel_for(std::int64_t count, F&& f) const {
    std::atomic<std::int64_t> next{0};
    std::vector<std::jthread> pool;
    for (int worker = 0; worker < threads; ++worker) {
      pool.emplace_back([&, worker] {
        for (std::int64_t index = next++; index < count; index = next++) f(index, worker);
      });
    }
  }
};

/// Elements of a floating type.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, std::vector<std::int64_t> shape) : dtype_(dtype), shape_(std::move(shape)) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape_) count *= size;
    bytes_.resize(static_cast<std::size_t>(count) * size_of(dtype));
  }

  std::int64_t count() const { return static_cast<std::int64_t>(bytes_.size() / size_of(dtype_)); }
  float operator[](std::int64_t index) const { return load_as_float(bytes_.data(), dtype_, index); }
  void set(std::int64_t index, float value) { store_from_float(bytes_.data(), dtype_, index, value); }
  template <class Random>
  Tensor& fill(Random& random, float scale) {
    std::normal_distribution<float> normal(0.0F, scale);
    for (std::int64_t i = 0; i < count(); ++i) set(i, normal(random));
    return *this;
  }

  std::vector<std::byte>& bytes() { return bytes_; }
  TensorView view() const {
    TensorView result;
    result.data = bytes_.data();
    result.dtype = dtype_;
    result.rank = static_cast<int>(shape_.size());
    for (std::size_t i = 0; i < shape_.size(); ++i) result.shape[i] = shape_[i];
    return result;
  }
  TokensView tokens() const { return TokensView(bytes_.data(), dtype_, shape_[0], shape_[1], shape_[1]); }
  MutableTokensView mutable_tokens() {
    return MutableTokensView(bytes_.data(), dtype_, shape_[0], shape_[1], shape_[1]);
  }

 private:
  DType dtype_ = DType::f32;
  std::vector<std::int64_t> shape_;
  std::vector<std::byte> bytes_;
};

/// Everything that one call takes.
struct RandomLayer {
  LayerShape shape;
  Layer layer;
  Tensor w13, w2, b13, b2, x;
  std::vector<float> weights;
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> map;
  MoECheckpoint checkpoint;
  std::int64_t tokens = 0;

  std::string describe() const {
    return "T " + std::to_string(tokens) + " H " + std::to_string(shape.hidden_size) + " I " +
           std::to_string(shape.intermediate_size) + " E " + std::to_string(shape.num_experts) + " k " +
           std::to_string(shape.top_k) + " shared " + std::to_string(shape.num_shared_experts) + " activation " +
           std::string(name(layer.quant.activation));
  }
};

struct LayerOptions {
  std::int64_t tokens, hidden, intermediate, experts, top_k;
  Activation activation = Activation::silu;
  DType dtype = DType::bf16;
  DType weight_dtype = DType::bf16;
  W13Layout layout = W13Layout::concatenated;
  std::int64_t shared = 0;
  bool biases = false;
  bool weight_on_input = false;
  double idle = 0.0;  ///< probability of an id of -1
  bool remote = false;
};

inline void make_layer(RandomLayer& made, const LayerOptions& options, unsigned seed) {
  std::mt19937 random(seed);
  LayerShape& shape = made.shape;
  shape = {.num_experts = options.experts,
           .num_local_experts = options.experts,
           .num_shared_experts = options.shared,
           .top_k = options.top_k,
           .hidden_size = options.hidden,
           .intermediate_size = options.intermediate,
           .gated = is_gated(options.activation)};
  if (options.remote && options.experts > 1) {
    shape.num_local_experts = (options.experts + 1) / 2;
    for (std::int64_t e = 0; e < options.experts; ++e)
      made.map.push_back(static_cast<std::int32_t>(e % 2 == 0 ? e / 2 : -1));
  }
  const std::int64_t packed = shape.num_packed_experts();
  const auto depth = [](std::int64_t n) { return 1.0F / std::sqrt(static_cast<float>(n)); };
  made.tokens = options.tokens;
  made.w13 =
      Tensor(options.weight_dtype, {packed, shape.w13_rows(), options.hidden}).fill(random, depth(options.hidden));
  made.w2 = Tensor(options.weight_dtype, {packed, options.hidden, options.intermediate})
                .fill(random, depth(options.intermediate));
  made.x = Tensor(options.dtype, {options.tokens, options.hidden}).fill(random, 1.0F);
  made.checkpoint.w13.weight = made.w13.view();
  made.checkpoint.w2.weight = made.w2.view();
  made.checkpoint.w13_layout = options.layout;
  if (options.biases) {
    made.b13 = Tensor(DType::f32, {packed, shape.w13_rows()}).fill(random, 0.5F);
    made.b2 = Tensor(DType::f32, {packed, options.hidden}).fill(random, 0.5F);
    made.checkpoint.w13.bias = made.b13.view();
    made.checkpoint.w2.bias = made.b2.view();
  }
  std::uniform_real_distribution<float> weight(0.05F, 1.0F);
  std::uniform_real_distribution<double> chance(0.0, 1.0);
  std::vector<std::int32_t> order(static_cast<std::size_t>(options.experts));
  for (std::size_t e = 0; e < order.size(); ++e) order[e] = static_cast<std::int32_t>(e);
  for (std::int64_t t = 0; t < options.tokens; ++t) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::int64_t j = 0; j < options.top_k; ++j) {
      made.ids.push_back(chance(random) < options.idle ? -1 : order[static_cast<std::size_t>(j)]);
      made.weights.push_back(weight(random));
    }
  }
  made.layer.shape = shape;
  made.layer.quant.activation = options.activation;
  made.layer.expert_map = made.map;
  made.layer.apply_router_weight_on_input = options.weight_on_input;
}

/// Packs a checkpoint's experts, the shared ones after the others.
template <class Experts, class Scheme>
PackedWeights pack(const RandomLayer& made) {
  using Format = typename Experts::kernel_format;
  const Storage storage = storage_of<Scheme>(made.checkpoint);
  PackedWeights weights(Format::name(), Scheme::name(), made.shape, storage, Format::expert_bytes(made.shape, storage));
  SerialExecutor executor;
  for (std::int64_t e = 0; e < made.shape.num_packed_experts(); ++e) {
    Format::pack_expert(weights.expert(e), quant::expert_checkpoint<Scheme>(made.checkpoint, e, made.shape), made.shape,
                        storage, executor);
  }
  return weights;
}

template <class Experts>
Tensor run_modular(const RandomLayer& made, PackedWeightsView weights, int threads, DType out_dtype) {
  const Experts experts(weights, made.layer);
  Tensor out(out_dtype, {made.tokens, made.shape.hidden_size});
  const Workspace workspace(experts.workspace_size(made.tokens, threads));
  // What was in the workspace before must not count.
  std::fill(workspace.data(), workspace.data() + workspace.size(), std::byte{0xFF});
  ThreadsExecutor executor{threads};
  experts.apply(ModularArguments{out.mutable_tokens(), made.x.tokens(),
                                 MatrixView<const float>(made.weights.data(), made.tokens, made.shape.top_k),
                                 MatrixView<const std::int32_t>(made.ids.data(), made.tokens, made.shape.top_k)},
                workspace.data(), executor);
  return out;
}

/// Relative L2 distance; a NaN counts as infinitely far unless both have it.
inline double distance(const Tensor& found, const Tensor& expected) {
  double difference = 0;
  double norm = 0;
  for (std::int64_t i = 0; i < expected.count(); ++i) {
    const double a = static_cast<double>(found[i]);
    const double b = static_cast<double>(expected[i]);
    if (std::isnan(a) != std::isnan(b)) return INFINITY;
    if (std::isnan(b)) continue;
    difference += (a - b) * (a - b);
    norm += b * b;
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

}  // namespace polymoe::test
