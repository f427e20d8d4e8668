// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/support/json_file.hpp"
#include "examples/support/layer_file.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/numeric/convert.hpp"
#include "tests/support/test_data.hpp"

// Judges a layer's output as numerics.md, section 5 says, by the same rules as tests/conformance/check_output.py.

namespace polymoe::test {

// ---- the cases

/// One conformance case, as the index describes it.
struct ConformanceCase {
  std::string path;
  std::string name;
  std::string scheme;
  LayerShape shape;
  std::int64_t tokens = 0;
  double bound = 0;                    ///< of the relative L2 error of the whole output
  std::optional<double> strict_bound;  ///< faithful cases: for kernels that quantize the intermediate from fp32
  std::string tolerance_class;
};

/// All public cases; only those of one scheme where `scheme` is not empty.
inline std::vector<ConformanceCase> conformance_cases(std::string_view scheme = {}) {
  const auto index = tools::read_json(conformance_folder + "/index.json");
  std::vector<ConformanceCase> cases;
  for (const auto& entry : index.at("files")) {
    ConformanceCase found;
    found.name = entry.at("file").get<std::string>();
    found.path = conformance_folder + "/" + found.name;
    found.scheme = entry.at("scheme").get<std::string>();
    found.tokens = entry.at("T").get<std::int64_t>();
    found.shape.hidden_size = entry.at("H").get<std::int64_t>();
    found.shape.intermediate_size = entry.at("I").get<std::int64_t>();
    found.shape.num_experts = entry.at("E").get<std::int64_t>();
    found.shape.num_local_experts = entry.at("E_local").get<std::int64_t>();
    found.shape.top_k = entry.at("k").get<std::int64_t>();
    found.bound = entry.at("bound").get<double>();
    if (entry.contains("bound_fp32_intermediate")) {
      found.strict_bound = entry.at("bound_fp32_intermediate").get<double>();
    }
    found.tolerance_class = entry.at("tolerance_class").get<std::string>();
    if (scheme.empty() || found.scheme == scheme) cases.push_back(std::move(found));
  }
  return cases;
}

/// A name that GoogleTest takes: for INSTANTIATE_TEST_SUITE_P over conformance_cases().
inline std::string test_name(const ConformanceCase& found) {
  std::string name = found.name.substr(0, found.name.rfind('.'));
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

// ---- tolerances

/// No token's relative L2 error may exceed this many times the bound of the whole.
inline constexpr double token_factor = 5.0;

struct ToleranceClass {
  std::string_view name;
  double bound;
  double strict_bound;  ///< for kernels that quantize the intermediate from fp32
};

inline constexpr ToleranceClass fp32_class{"fp32", 1e-5, 1e-5};
inline constexpr ToleranceClass wide_class{"wide", 5e-3, 5e-3};
inline constexpr ToleranceClass int8_class{"int8", 1e-2, 1e-2};
inline constexpr ToleranceClass fp8_class{"fp8", 3e-2, 1e-2};
inline constexpr ToleranceClass fp4_class{"fp4", 6e-2, 1e-2};

/// The row of the table in section 5 that a layer falls under.
inline ToleranceClass tolerance_class(const tools::LayerFile& layer) {
  const QuantKey activation = layer.keys.effective_activation();
  if (activation.element == QuantElement::i8) return int8_class;
  if (activation.element == QuantElement::e2m1) return fp4_class;
  if (activation.element == QuantElement::f8_e4m3) return fp8_class;
  const bool all_fp32 = layer.hidden_states.dtype == DType::f32 && layer.checkpoint.w13.weight.dtype == DType::f32 &&
                        layer.checkpoint.w2.weight.dtype == DType::f32;
  return layer.family == quant::Family::unquantized && all_fp32 ? fp32_class : wide_class;
}

// ---- judging an output

struct Judgement {
  bool passed = false;
  double error = 0;        ///< relative L2 error of the whole output
  double token_error = 0;  ///< the largest of a single token
  std::int64_t worst_token = 0;
  std::string text;  ///< one line for the test's report
};

/// Compares `output` [T, H] with `expected` [T, H]. A token whose expected row is all zero must be all zero; NaN must
/// be where they are expected and nowhere else, and their tokens do not count in the norms.
inline Judgement judge(const TokensView& output, const TokensView& expected, double bound) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  Judgement result;
  double total_difference = 0;
  double total_expected = 0;
  for (std::int64_t t = 0; t < expected.rows; ++t) {
    double difference = 0;
    double magnitude = 0;
    bool has_nan = false;
    bool nan_differs = false;
    for (std::int64_t h = 0; h < expected.columns; ++h) {
      const double want = load_as_float(expected.row(t), expected.dtype, h);
      const double have = load_as_float(output.row(t), output.dtype, h);
      has_nan = has_nan || std::isnan(want);
      nan_differs = nan_differs || std::isnan(want) != std::isnan(have);
      if (std::isnan(want) || std::isnan(have)) continue;
      difference += want == have ? 0.0 : (have - want) * (have - want);  // equal infinities do not differ
      magnitude += want * want;
    }
    if (nan_differs) {
      result.error = result.token_error = infinity;
      result.worst_token = t;
      result.text = "NaN of token " + std::to_string(t) + " are not where they are expected";
      return result;
    }
    if (has_nan) continue;
    total_difference += difference;
    total_expected += magnitude;
    const double error =
        magnitude > 0 ? std::sqrt(difference) / std::sqrt(magnitude) : (difference > 0 ? infinity : 0.0);
    if (!(error <= result.token_error)) {
      result.token_error = error;
      result.worst_token = t;
    }
  }
  result.error = total_expected > 0 ? std::sqrt(total_difference) / std::sqrt(total_expected)
                                    : (total_difference > 0 ? infinity : 0.0);
  result.passed = result.error <= bound && result.token_error <= token_factor * bound;
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "error %.3e of %.1e, worst token %.3e of %.1e (token %lld)", result.error,
                bound, result.token_error, token_factor * bound, static_cast<long long>(result.worst_token));
  result.text = line.data();
  return result;
}

/// Judges the output of a layer file against its expected_output, by the class that the file falls under. `strict`: the
/// kernel quantizes the intermediate from fp32.
inline Judgement judge(const TokensView& output, const tools::LayerFile& layer, bool strict) {
  const ToleranceClass tolerance = tolerance_class(layer);
  const TensorView& expected = layer.expected_output;
  return judge(
      output, TokensView(expected.data, expected.dtype, layer.tokens, layer.shape.hidden_size, layer.shape.hidden_size),
      strict ? tolerance.strict_bound : tolerance.bound);
}

// ---- judging a routing

/// The reference's routing of the public cases: [T, k] by name, from tests/conformance/make_routing.py.
class RoutingGoldens {
 public:
  RoutingGoldens() : file_(tools::SafetensorsFile::open(routing_file)) {}

  bool contains(const ConformanceCase& found) const { return file_.find(found.name + ".topk_ids") != nullptr; }

  std::span<const std::int32_t> topk_ids(const ConformanceCase& found) const {
    return elements<std::int32_t>(file_.view(found.name + ".topk_ids"));
  }
  std::span<const float> topk_weights(const ConformanceCase& found) const {
    return elements<float>(file_.view(found.name + ".topk_weights"));
  }

 private:
  template <class T>
  static std::span<const T> elements(const TensorView& view) {
    return {reinterpret_cast<const T*>(view.data), static_cast<std::size_t>(view.count())};
  }

  tools::SafetensorsFile file_;
};

/// Ids must be the expected ones, place by place; weights must agree to 1e-5, relatively. Empty where they do, else
/// what is wrong.
inline std::string judge_routing(std::span<const std::int32_t> ids, std::span<const float> weights,
                                 std::span<const std::int32_t> expected_ids, std::span<const float> expected_weights) {
  if (ids.size() != expected_ids.size() || weights.size() != expected_weights.size()) return "another number of slots";
  constexpr double tiny = 0x1p-126;  // fp32 has no relative precision below
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] != expected_ids[i]) {
      return "slot " + std::to_string(i) + ": id " + std::to_string(ids[i]) + ", expected " +
             std::to_string(expected_ids[i]);
    }
    const double want = expected_weights[i];
    const double have = weights[i];
    if (!(std::abs(have - want) <= 1e-5 * std::max(std::abs(want), tiny))) {
      return "slot " + std::to_string(i) + ": weight " + std::to_string(have) + ", expected " + std::to_string(want);
    }
  }
  return {};
}

}  // namespace polymoe::test
