// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bench/layer/shape.hpp"

namespace polymoe::bench {

enum class PeerPrecision : std::uint8_t { bf16, int8 };

/// The products of a layer by oneDNN: for each expert that has tokens one matmul [rows, H] x [H, 2I] and one
/// [rows, I] x [I, H], with weights in the layout that oneDNN asked for. What else a layer does (gathering rows, the
/// activation, quantization, weighting, adding up) is left out, and all experts share small buffers: a layer made of
/// these matmuls takes longer.
class OneDnnLayer {
 public:
  /// True where the program was built with oneDNN.
  static bool is_available();
  /// "oneDNN 2.6.3"; empty without it.
  static const char* version();

  /// Weights for `layers` layers, of random bits.
  OneDnnLayer(const Shape& shape, PeerPrecision precision, int layers);
  ~OneDnnLayer();

  /// Makes the primitives for these numbers of rows on so many OpenMP threads. Not timed.
  void prepare(const std::vector<std::int64_t>& rows, int threads);

  /// Seconds for the products of one layer; prepare() has seen the same rows and threads.
  double run(int layer, const std::vector<std::int64_t>& rows);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace polymoe::bench
