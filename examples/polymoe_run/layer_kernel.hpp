// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/support/any_executor.hpp"
#include "examples/support/layer_file.hpp"
#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/oracle/explanation.hpp"
#include "polymoe/quant/scheme.hpp"
#include "polymoe/target/cpu_features.hpp"
#include "polymoe/target/target.hpp"

// What the runner asks of the builds for the various instruction sets. Only this header is shared between them.

namespace polymoe::tools {

/// One run of a layer: where the results go, and what was measured.
struct LayerRun {
  MutableTokensView out;              ///< [T, H]
  MatrixView<float> topk_weights;     ///< [T, k]; written unless the file gives them
  MatrixView<std::int32_t> topk_ids;  ///< [T, k]; likewise
  int repeat = 1;
  std::vector<double> seconds{};  ///< of each repetition: routing and apply
};

/// One backend's kernel for one scheme, for any layer of it.
struct LayerKernel {
  std::string_view backend;
  QuantKeys keys;  ///< of quant::distinct_schemes
  void (*run)(const LayerFile& layer, const AnyExecutor& executor, LayerRun& run);
};

/// The kernels of the backends that are native to `level`. Only to be called where the CPU can run that level.
template <CpuFeatures level>
std::span<const LayerKernel> layer_kernels();

}  // namespace polymoe::tools
