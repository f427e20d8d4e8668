// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.

#include "bench/layer/onednn_layer.hpp"

#if defined(POLYMOE_BENCH_WITH_ONEDNN)

#include <omp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

#include "bench/support/random_bits.hpp"
#include "polymoe/execution/openmp_executor.hpp"
#include "polymoe/execution/workspace.hpp"

namespace polymoe::bench {
namespace {

using dnnl::memory;

memory::desc plain(std::int64_t rows, std::int64_t columns, memory::data_type type) {
  return {{rows, columns}, type, memory::format_tag::ab};
}

dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, const memory::desc& source,
                                      const memory::desc& weights, const memory::desc& destination,
                                      const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, source, weights, destination, attributes};
#else
  return {{source, weights, destination}, attributes, engine};
#endif
}

/// One of the two products, for any number of rows.
class Product {
 public:
  Product(const dnnl::engine& engine, std::int64_t columns, std::int64_t depth, memory::data_type source,
          memory::data_type destination)
      : engine_(engine), columns_(columns), depth_(depth), source_(source), destination_(destination) {
    // oneDNN may prefer one layout for a row and another for many; a layer has one, and prefill gains most by it.
    constexpr std::int64_t usual_rows = 64;
    const memory::desc any({depth, columns}, source, memory::format_tag::any);
    weights_ =
        describe(engine_, plain(usual_rows, depth, source), any, plain(usual_rows, columns, destination), attributes())
            .weights_desc();
  }

  const memory::desc& weights() const { return weights_; }

  void prepare(std::int64_t rows) {
    if (matmuls_.contains(rows)) return;
    matmuls_.emplace(rows, dnnl::matmul(describe(engine_, source(rows), weights_, destination(rows), attributes())));
  }
  void forget() { matmuls_.clear(); }

  void run(dnnl::stream& stream, std::int64_t rows, void* from, void* weights, void* to) const {
    matmuls_.at(rows).execute(stream, {{DNNL_ARG_SRC, memory(source(rows), engine_, from)},
                                       {DNNL_ARG_WEIGHTS, memory(weights_, engine_, weights)},
                                       {DNNL_ARG_DST, memory(destination(rows), engine_, to)}});
  }

 private:
  memory::desc source(std::int64_t rows) const { return plain(rows, depth_, source_); }
  memory::desc destination(std::int64_t rows) const { return plain(rows, columns_, destination_); }

  dnnl::primitive_attr attributes() const {
    dnnl::primitive_attr attributes;
#if DNNL_VERSION_MAJOR < 3
    if (source_ == memory::data_type::s8) attributes.set_output_scales(0, {0.001F});
#endif
    return attributes;
  }

  dnnl::engine engine_;
  std::int64_t columns_;
  std::int64_t depth_;
  memory::data_type source_;
  memory::data_type destination_;
  memory::desc weights_;
  std::unordered_map<std::int64_t, dnnl::matmul> matmuls_;
};

std::size_t round_up(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

}  // namespace

class OneDnnLayer::Implementation {
 public:
  Implementation(const Shape& shape, PeerPrecision precision, int layers)
      : shape_(shape),
        type_(precision == PeerPrecision::bf16 ? memory::data_type::bf16 : memory::data_type::s8),
        engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        w13_(engine_, 2 * shape.intermediate_size, shape.hidden_size, type_, type_),
        w2_(engine_, shape.hidden_size, shape.intermediate_size, type_, memory::data_type::bf16),
        w13_bytes_(round_up(w13_.weights().get_size())),
        expert_bytes_(w13_bytes_ + round_up(w2_.weights().get_size())),
        weights_(expert_bytes_ * static_cast<std::size_t>(shape.num_experts * layers)) {
    const OpenMpExecutor executor;
    const std::size_t words = weights_.size() / sizeof(std::uint16_t);
    auto* const data = reinterpret_cast<std::uint16_t*>(weights_.data());
    if (type_ == memory::data_type::bf16) {
      fill_random(executor, data, words, 1, small_bf16);
    } else {
      fill_random(executor, data, words, 1, [](std::uint16_t bits) { return bits; });
    }
  }

  void prepare(const std::vector<std::int64_t>& rows, int threads) {
    if (threads != threads_) {
      omp_set_num_threads(threads);
      w13_.forget();
      w2_.forget();
      threads_ = threads;
    }
    const std::int64_t most = *std::max_element(rows.begin(), rows.end());
    if (most > buffer_rows_) {
      buffer_rows_ = most;
      const auto bytes = [&](std::int64_t columns) { return static_cast<std::size_t>(most * columns) * 2; };
      inputs_ = Workspace(bytes(shape_.hidden_size));
      gate_up_ = Workspace(bytes(2 * shape_.intermediate_size));
      activated_ = Workspace(bytes(shape_.intermediate_size));
      outputs_ = Workspace(bytes(shape_.hidden_size));
      for (Workspace* each : {&inputs_, &gate_up_, &activated_, &outputs_}) {
        fill_random(reinterpret_cast<std::uint16_t*>(each->data()), each->size() / 2, 2, medium_bf16);
      }
    }
    for (const std::int64_t count : rows) {
      if (count == 0) continue;
      w13_.prepare(count);
      w2_.prepare(count);
    }
  }

  double run(int layer, const std::vector<std::int64_t>& rows) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    std::byte* expert = weights_.data() + static_cast<std::size_t>(layer * shape_.num_experts) * expert_bytes_;
    for (const std::int64_t count : rows) {
      if (count != 0) {
        w13_.run(stream_, count, inputs_.data(), expert, gate_up_.data());
        w2_.run(stream_, count, activated_.data(), expert + w13_bytes_, outputs_.data());
      }
      expert += expert_bytes_;
    }
    stream_.wait();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 private:
  Shape shape_;
  memory::data_type type_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  Product w13_, w2_;
  std::size_t w13_bytes_;
  std::size_t expert_bytes_;
  Workspace weights_;
  Workspace inputs_, gate_up_, activated_, outputs_;
  std::int64_t buffer_rows_ = 0;
  int threads_ = 0;
};

bool OneDnnLayer::is_available() {
  return true;
}

const char* OneDnnLayer::version() {
  static const std::string text = [] {
    const dnnl_version_t* const version = dnnl_version();
    return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }();
  return text.c_str();
}

OneDnnLayer::OneDnnLayer(const Shape& shape, PeerPrecision precision, int layers)
    : implementation_(std::make_unique<Implementation>(shape, precision, layers)) {}
OneDnnLayer::~OneDnnLayer() = default;
void OneDnnLayer::prepare(const std::vector<std::int64_t>& rows, int threads) {
  implementation_->prepare(rows, threads);
}
double OneDnnLayer::run(int layer, const std::vector<std::int64_t>& rows) {
  return implementation_->run(layer, rows);
}

}  // namespace polymoe::bench

#else

namespace polymoe::bench {

class OneDnnLayer::Implementation {};

bool OneDnnLayer::is_available() {
  return false;
}
const char* OneDnnLayer::version() {
  return "";
}
OneDnnLayer::OneDnnLayer(const Shape&, PeerPrecision, int) {}
OneDnnLayer::~OneDnnLayer() = default;
void OneDnnLayer::prepare(const std::vector<std::int64_t>&, int) {}
double OneDnnLayer::run(int, const std::vector<std::int64_t>&) {
  return 0;
}

}  // namespace polymoe::bench

#endif
