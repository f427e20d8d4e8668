// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "examples/lm/model_config.hpp"
#include "examples/lm/tokenizer.hpp"
#include "examples/lm/transformer.hpp"
#include "examples/support/json_file.hpp"
#include "examples/support/safetensors_reader.hpp"
#include "examples/support/sharded_checkpoint.hpp"
#include "polymoe/config/view.hpp"
#include "tests/support/test_data.hpp"

namespace polymoe::test {

/// The trained model with its text and its goldens, loaded once for all tests of a program.
struct TinyMoE {
  tools::Checkpoint checkpoint = tools::Checkpoint::open(tiny_moe_folder);
  lm::ModelConfig config = lm::ModelConfig::load(tiny_moe_folder + "/config.json");
  lm::Transformer model{checkpoint, config};
  std::vector<lm::Token> text = lm::encode(tools::read_text(tiny_moe_folder + "/valid.txt"));
  tools::SafetensorsFile goldens = tools::SafetensorsFile::open(goldens_file);

  /// The sequence of the goldens.
  std::span<const lm::Token> golden_text() const { return std::span(text).first(512); }

  template <class T = float>
  MatrixView<const T> golden(const std::string& name) const {
    const TensorView view = goldens.view(name);
    return {reinterpret_cast<const T*>(view.data), view.shape[0], view.shape[1]};
  }
  template <class T = float>
  MatrixView<const T> golden(const std::string& name, std::int64_t layer) const {
    return golden<T>(name + "." + std::to_string(layer));
  }
};

inline const TinyMoE& tiny() {
  static const TinyMoE model;
  return model;
}

/// Nats per byte of the golden sequence, in float64.
inline constexpr double golden_cross_entropy = 1.252496;

/// Relative L2 errors of a matrix.
struct MatrixError {
  double whole = 0;
  double worst_row = 0;
};

inline MatrixError error_of(MatrixView<const float> found, MatrixView<const float> expected) {
  MatrixError error;
  double all_differences = 0;
  double all_magnitudes = 0;
  for (std::int64_t t = 0; t < expected.rows; ++t) {
    double difference = 0;
    double magnitude = 0;
    for (std::int64_t i = 0; i < expected.columns; ++i) {
      const double want = expected.row(t)[i];
      difference += (found.row(t)[i] - want) * (found.row(t)[i] - want);
      magnitude += want * want;
    }
    error.worst_row = std::max(error.worst_row, std::sqrt(difference / magnitude));
    all_differences += difference;
    all_magnitudes += magnitude;
  }
  error.whole = std::sqrt(all_differences / all_magnitudes);
  return error;
}

}  // namespace polymoe::test
