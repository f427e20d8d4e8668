// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "examples/support/file_error.hpp"
#include "examples/support/safetensors_reader.hpp"
#include "polymoe/config/activation.hpp"
#include "polymoe/config/layer.hpp"
#include "polymoe/config/quant_key.hpp"
#include "polymoe/config/routing_method.hpp"
#include "polymoe/config/view.hpp"
#include "polymoe/config/w13_layout.hpp"
#include "polymoe/quant/checkpoint.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::tools {

/// A checked layer file: a layer's checkpoint tensors, one batch of inputs and, for tests, the expected output. Tensors
/// that the scheme or the routing does not read are left out.
struct LayerFile {
  quant::Family family = quant::Family::unquantized;
  QuantKeys keys;
  std::int32_t group_size = 0;  ///< int_wna16: 32, 64, 128 or -1, the whole row; else 0
  Activation activation = Activation::silu;
  ActivationParameters activation_parameters;
  MoECheckpoint checkpoint;
  LayerShape shape;
  LayerParameters parameters;  ///< spans of `file`
  std::int64_t tokens = 0;     ///< T

  TensorView hidden_states;           ///< [T, H]
  TensorView router_logits;           ///< [T, E]; not for routing "given"
  TensorView topk_ids, topk_weights;  ///< [T, k]; only for routing "given"
  TensorView expected_output;         ///< [T, H]; optional

  SafetensorsFile file;  ///< owns what the views show

  /// Reads and checks everything; raises InputError "PATH: TENSOR OR KEY: found ..., expected ..." at the first thing
  /// that is not as the page on layer files says.
  static LayerFile load(const std::string& path);

  bool is_faithful() const { return !keys.effective_activation().is_none(); }
};

namespace detail {

inline constexpr std::array<std::string_view, 17> layer_keys{"scheme",
                                                             "weight_key",
                                                             "activation_key",
                                                             "activation_mode",
                                                             "activation",
                                                             "w13_layout",
                                                             "top_k",
                                                             "routing",
                                                             "n_group",
                                                             "topk_group",
                                                             "routed_scaling_factor",
                                                             "renormalize",
                                                             "swiglu_alpha",
                                                             "swiglu_limit",
                                                             "apply_router_weight_on_input",
                                                             "group_size",
                                                             "pack_format"};

inline constexpr std::array<std::string_view, 19> layer_tensors{
    "hidden_states",     "router_logits",  "topk_ids",         "topk_weights",    "e_score_correction_bias",
    "w13_weight",        "w2_weight",      "w13_weight_scale", "w2_weight_scale", "w13_weight_scale_2",
    "w2_weight_scale_2", "w13_zero_point", "w2_zero_point",    "w13_input_scale", "w2_input_scale",
    "w13_bias",          "w2_bias",        "expert_map",       "expected_output"};

inline constexpr std::array<DType, 3> floats{DType::f32, DType::bf16, DType::f16};
inline constexpr std::array<DType, 1> f32_only{DType::f32};
inline constexpr std::array<DType, 1> i32_only{DType::i32};
inline constexpr std::array<DType, 1> u8_only{DType::u8};
inline constexpr std::array<DType, 1> e4m3_only{DType::f8_e4m3};
inline constexpr std::array<DType, 1> i8_only{DType::i8};

using Shape = std::vector<std::int64_t>;

inline constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// The types that a weight may be stored as.
inline std::span<const DType> stored_as(const QuantKey& key) {
  switch (key.element) {
    case QuantElement::none: return floats;
    case QuantElement::f8_e4m3: return e4m3_only;
    case QuantElement::e2m1: return u8_only;
    case QuantElement::i8: return i8_only;
    case QuantElement::uint4b8:
    case QuantElement::uint8b128: return i32_only;
  }
  return {};
}

/// Weight elements in one stored element.
inline std::int64_t packing_of(const QuantKey& key) {
  switch (key.element) {
    case QuantElement::e2m1: return 2;
    case QuantElement::uint4b8: return 8;
    case QuantElement::uint8b128: return 4;
    default: return 1;
  }
}

/// Does the work of LayerFile::load. Metadata first, then tensors, each step in the order of the page.
class LayerFileLoader {
 public:
  explicit LayerFileLoader(const std::string& path) : path_(path) {
    layer_.file = SafetensorsFile::open(path, SafetensorsFile::Storage::memory);
  }

  LayerFile load() && {
    check_names();
    read_scheme();
    read_activation();
    read_routing();
    read_numbers();
    read_packing();
    layer_.shape.top_k = integer("top_k", 1, std::int64_t{1} << 31);
    read_hidden_states();
    read_weights();
    read_scales(layer_.checkpoint.w13, "w13", layer_.shape.w13_rows(), layer_.shape.hidden_size);
    read_scales(layer_.checkpoint.w2, "w2", layer_.shape.hidden_size, layer_.shape.intermediate_size);
    read_biases();
    read_input_scale(layer_.checkpoint.w13, "w13_input_scale");
    read_input_scale(layer_.checkpoint.w2, "w2_input_scale");
    read_experts();
    read_routed();
    read_groups();
    layer_.expected_output = fetch_optional("expected_output", f32_only, {{layer_.tokens, layer_.shape.hidden_size}});
    return std::move(layer_);
  }

 private:
  [[noreturn]] void refuse(std::string_view subject, std::string_view found, std::string_view expected) const {
    tools::refuse(path_, subject, found, expected);
  }
  [[noreturn]] void refuse_key(std::string_view key, std::string_view found, std::string_view expected) const {
    refuse("polymoe." + std::string(key), found, expected);
  }

  // ---- names

  void check_names() {
    for (const auto& [key, value] : layer_.file.metadata()) {
      if (!key.starts_with("polymoe.")) continue;
      const std::string short_key = key.substr(8);
      if (std::find(layer_keys.begin(), layer_keys.end(), short_key) == layer_keys.end()) {
        refuse(key, "an unknown key", "a key of the layer file page");
      }
      values_.emplace(short_key, value);
    }
  }

  void check_tensor_names() const {
    for (const StoredTensor& tensor : layer_.file.tensors()) {
      if (std::find(layer_tensors.begin(), layer_tensors.end(), tensor.name) == layer_tensors.end()) {
        refuse(tensor.name, "an unknown tensor", "a tensor of the layer file page");
      }
      if (!tensor.type.dtype || *tensor.type.dtype == DType::e8m0) {
        refuse(tensor.name, "type " + std::string(tensor.type.name), "a type of the layer file page");
      }
    }
  }

  // ---- values of metadata

  std::optional<std::string> value(const std::string& key) const {
    const auto at = values_.find(key);
    return at == values_.end() ? std::nullopt : std::optional(at->second);
  }

  std::string required(const std::string& key) const {
    if (!value(key)) refuse_key(key, "nothing", "the key (it is required)");
    return *value(key);
  }

  /// The index of the key's value among `options`.
  std::size_t choice(const std::string& key, std::span<const std::string_view> options,
                     std::optional<std::string> otherwise) const {
    const std::string given = otherwise ? value(key).value_or(*otherwise) : required(key);
    const auto at = std::find(options.begin(), options.end(), given);
    if (at == options.end()) {
      std::string all;
      for (const std::string_view option : options) all += (all.empty() ? "" : ", ") + std::string(option);
      refuse_key(key, in_quotes(given), "one of " + all);
    }
    return static_cast<std::size_t>(at - options.begin());
  }

  bool truth(const std::string& key, bool otherwise) const {
    static constexpr std::array<std::string_view, 2> options{"false", "true"};
    return choice(key, options, otherwise ? "true" : "false") == 1;
  }

  std::int64_t integer(const std::string& key, std::int64_t low, std::int64_t high,
                       std::optional<std::string> otherwise = {}) const {
    const std::string given = otherwise ? value(key).value_or(*otherwise) : required(key);
    const std::string_view digits = std::string_view(given).substr(given.starts_with('-') ? 1 : 0);
    const bool is_integer = !digits.empty() && digits.size() <= 18 &&
                            std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!is_integer) refuse_key(key, in_quotes(given), "an integer");
    const std::int64_t number = std::strtoll(given.c_str(), nullptr, 10);
    if (number < low || number > high) {
      refuse_key(key, given, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
    }
    return number;
  }

  /// A decimal number with an optional fraction and exponent; neither hexadecimal nor inf nor nan.
  std::optional<float> number(const std::string& key) const {
    const std::optional<std::string> given = value(key);
    if (!given) return std::nullopt;
    const double parsed = is_decimal(*given) ? std::strtod(given->c_str(), nullptr) : std::nan("");
    if (!std::isfinite(parsed)) refuse_key(key, in_quotes(*given), "a finite number");
    constexpr double largest = std::numeric_limits<float>::max();
    const double in_range =
        std::abs(parsed) > largest ? std::copysign(std::numeric_limits<double>::infinity(), parsed) : parsed;
    return static_cast<float>(in_range);
  }

  static bool is_decimal(std::string_view text) {
    const auto skip_sign = [&] {
      if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    };
    const auto skip_digits = [&] {
      std::size_t count = 0;
      while (count < text.size() && text[count] >= '0' && text[count] <= '9') ++count;
      text.remove_prefix(count);
      return count;
    };
    skip_sign();
    std::size_t digits = skip_digits();
    if (text.starts_with('.')) {
      text.remove_prefix(1);
      digits += skip_digits();
    }
    if (digits == 0) return false;
    if (text.starts_with('e') || text.starts_with('E')) {
      text.remove_prefix(1);
      skip_sign();
      if (skip_digits() == 0) return false;
    }
    return text.empty();
  }

  // ---- metadata

  void read_scheme() {
    std::vector<std::string_view> schemes;
    for (const auto& row : quant::detail::family_table) schemes.push_back(row.name);
    layer_.family = quant::detail::family_table[choice("scheme", schemes, {})].value;

    std::vector<QuantKey> weights;
    for (const quant::KeyPair& pair : quant::valid_pairs) {
      const bool known = std::find(weights.begin(), weights.end(), pair.weight) != weights.end();
      if (pair.family == layer_.family && !known) weights.push_back(pair.weight);
    }
    layer_.keys.weight = weights[choice("weight_key", names_of(weights), {})];

    std::vector<QuantKey> activations;
    for (const quant::KeyPair& pair : quant::valid_pairs) {
      if (pair.family == layer_.family && pair.weight == layer_.keys.weight) activations.push_back(pair.activation);
    }
    layer_.keys.activation = activations[choice("activation_key", names_of(activations), "none")];

    static constexpr std::array<std::string_view, 2> modes{name(ActivationMode::wide), name(ActivationMode::faithful)};
    const std::string_view otherwise = name(quant::default_mode(layer_.keys.activation));
    layer_.keys.mode = static_cast<ActivationMode>(choice("activation_mode", modes, std::string(otherwise)));
    if (layer_.keys.activation.is_none()) layer_.keys.mode = ActivationMode::wide;  // where it has no effect
  }

  static std::vector<std::string_view> names_of(const std::vector<QuantKey>& keys) {
    std::vector<std::string_view> names;
    for (const QuantKey& key : keys) names.push_back(name(key));
    return names;
  }

  void read_activation() {
    static constexpr std::array<Activation, 9> activations{
        Activation::silu,        Activation::gelu,        Activation::gelu_tanh,   Activation::swigluoai,
        Activation::swiglustep,  Activation::silu_no_mul, Activation::gelu_no_mul, Activation::gelu_tanh_no_mul,
        Activation::relu2_no_mul};
    std::vector<std::string_view> names;
    for (const Activation activation : activations) names.push_back(name(activation));
    layer_.activation = activations[choice("activation", names, "silu")];
    layer_.shape.gated = is_gated(layer_.activation);
    static constexpr std::array<std::string_view, 2> layouts{name(W13Layout::concatenated),
                                                             name(W13Layout::interleaved)};
    layer_.checkpoint.w13_layout =
        choice("w13_layout", layouts, "concatenated") == 1 ? W13Layout::interleaved : W13Layout::concatenated;
  }

  void read_routing() {
    static constexpr std::array<RoutingMethod, 11> methods{RoutingMethod::softmax,
                                                           RoutingMethod::renormalize,
                                                           RoutingMethod::renormalize_naive,
                                                           RoutingMethod::topk,
                                                           RoutingMethod::sigmoid_renorm,
                                                           RoutingMethod::llama4,
                                                           RoutingMethod::minimax2,
                                                           RoutingMethod::deepseek_v3,
                                                           RoutingMethod::deepseek_v4,
                                                           RoutingMethod::grouped_softmax,
                                                           RoutingMethod::given};
    std::vector<std::string_view> names;
    for (const RoutingMethod method : methods) names.push_back(name(method));
    layer_.parameters.routing = methods[choice("routing", names, "renormalize")];
    layer_.parameters.routing_parameters.renormalize = truth("renormalize", false);
    layer_.parameters.apply_router_weight_on_input =
        truth("apply_router_weight_on_input", layer_.parameters.routing == RoutingMethod::llama4);
  }

  void read_numbers() {
    layer_.parameters.routing_parameters.routed_scaling_factor = number("routed_scaling_factor").value_or(1.0F);
    if (const auto alpha = number("swiglu_alpha")) layer_.activation_parameters.alpha = *alpha;
    if (const auto limit = number("swiglu_limit")) {
      layer_.activation_parameters.limit = *limit;
      layer_.activation_parameters.has_limit = true;
    }
  }

  void read_packing() {
    const std::int64_t group_size = integer("group_size", -1, 128, "128");
    const bool is_wna16 = layer_.family == quant::Family::int_wna16;
    if (is_wna16 && group_size != -1 && group_size != 32 && group_size != 64 && group_size != 128) {
      refuse_key("group_size", std::to_string(group_size), "32, 64, 128 or -1");
    }
    layer_.group_size = is_wna16 ? static_cast<std::int32_t>(group_size) : 0;
    static constexpr std::array<std::string_view, 3> formats{"compressed_tensors", "gptq", "awq"};
    layer_.checkpoint.pack_format = static_cast<PackFormat>(choice("pack_format", formats, "compressed_tensors"));
    if (layer_.checkpoint.pack_format == PackFormat::awq && layer_.keys.weight == quant_key::int8_static_group) {
      refuse_key("pack_format", "awq with int8_static_group", "awq with int4_static_group only");
    }
    if (!is_wna16) layer_.checkpoint.pack_format = PackFormat::compressed_tensors;
  }

  // ---- tensors

  bool has(const std::string& tensor) const { return layer_.file.find(tensor) != nullptr; }

  static std::vector<std::int64_t> shape_of(const TensorView& view) {
    return {view.shape.data(), view.shape.data() + view.rank};
  }

  /// A tensor that must be there, of one of `types`.
  TensorView fetch(const std::string& tensor, std::span<const DType> types) const {
    const StoredTensor* const stored = layer_.file.find(tensor);
    if (stored == nullptr) refuse(tensor, "no such tensor", "the tensor (this layer needs it)");
    if (std::find(types.begin(), types.end(), *stored->type.dtype) == types.end()) {
      std::string all;
      for (const DType type : types) all += (all.empty() ? "" : " or ") + std::string(name(type));
      refuse(tensor, "type " + std::string(stored->type.name), all);
    }
    TensorView view = layer_.file.view(*stored);
    if (view.rank == 0) {  // a scalar without dimensions is as good as one of [1]
      view.rank = 1;
      view.shape[0] = 1;
    }
    return view;
  }

  /// The same, of one of `shapes`.
  TensorView fetch(const std::string& tensor, std::span<const DType> types, std::initializer_list<Shape> shapes) const {
    const TensorView view = fetch(tensor, types);
    const Shape found = shape_of(view);
    if (std::find(shapes.begin(), shapes.end(), found) == shapes.end()) {
      std::string all;
      for (const Shape& shape : shapes) all += (all.empty() ? "" : " or ") + shape_text(shape);
      refuse(tensor, "shape " + shape_text(found), all);
    }
    return view;
  }

  TensorView fetch_optional(const std::string& tensor, std::span<const DType> types,
                            std::initializer_list<Shape> shapes) const {
    return has(tensor) ? fetch(tensor, types, shapes) : TensorView{};
  }

  void read_hidden_states() {
    check_tensor_names();
    layer_.hidden_states = fetch("hidden_states", floats);
    const TensorView& states = layer_.hidden_states;
    if (states.rank != 2 || states.shape[1] == 0)
      refuse("hidden_states", "shape " + shape_text(shape_of(states)), "[T, H]");
    layer_.tokens = states.shape[0];
    layer_.shape.hidden_size = states.shape[1];
  }

  TensorView fetch_weight(const std::string& tensor) const {
    const TensorView view = fetch(tensor, stored_as(layer_.keys.weight));
    if (view.rank != 3 || view.count() == 0) {
      refuse(tensor, "shape " + shape_text(shape_of(view)), "three dimensions, none of them 0");
    }
    return view;
  }

  void read_weights() {
    const std::int64_t packing = packing_of(layer_.keys.weight);
    const TensorView w13 = fetch_weight("w13_weight");
    const TensorView w2 = fetch_weight("w2_weight");
    layer_.shape.num_local_experts = w13.shape[0];
    switch (layer_.checkpoint.pack_format) {
      case PackFormat::compressed_tensors: layer_.shape.intermediate_size = w2.shape[2] * packing; break;
      case PackFormat::gptq: layer_.shape.intermediate_size = w2.shape[1] * packing; break;
      case PackFormat::awq: layer_.shape.intermediate_size = w2.shape[1]; break;
    }
    check_divisibility(packing);
    layer_.checkpoint.w13.weight = w13;
    layer_.checkpoint.w2.weight = w2;
    want_weight("w13_weight", w13, layer_.shape.w13_rows(), layer_.shape.hidden_size, packing);
    want_weight("w2_weight", w2, layer_.shape.hidden_size, layer_.shape.intermediate_size, packing);
  }

  void check_divisibility(std::int64_t packing) const {
    std::int64_t divisor = 1;
    std::string what = "block size";
    if (layer_.family == quant::Family::int_wna16) {
      const bool grouped = layer_.group_size > 0;
      what = grouped ? "group size" : "packing";
      divisor = grouped ? layer_.group_size : layer_.checkpoint.pack_format == PackFormat::awq ? 1 : packing;
    } else if (layer_.keys.weight.group.rows == 1 && layer_.keys.weight.group.columns > 1) {
      divisor = layer_.keys.weight.group.columns;
    }
    const auto check = [&](const char* tensor, const char* symbol, std::int64_t size, std::int64_t factor,
                           const std::string& reason) {
      if (size % factor != 0) {
        refuse(tensor, std::string(symbol) + " = " + std::to_string(size),
               "a multiple of the " + reason + " " + std::to_string(factor));
      }
    };
    check("w13_weight", "H", layer_.shape.hidden_size, divisor, what);
    check("w2_weight", "I", layer_.shape.intermediate_size, divisor, what);
    if (layer_.checkpoint.pack_format == PackFormat::awq) {
      check("w13_weight", "rows", layer_.shape.w13_rows(), 8, "columns of an awq word,");
      check("w2_weight", "H", layer_.shape.hidden_size, 8, "columns of an awq word,");
    }
  }

  void want_weight(const char* tensor, const TensorView& view, std::int64_t rows, std::int64_t columns,
                   std::int64_t packing) const {
    const std::int64_t experts = layer_.shape.num_local_experts;
    Shape expected{experts, rows, columns / packing};
    if (layer_.checkpoint.pack_format == PackFormat::gptq) expected = {experts, columns / packing, rows};
    if (layer_.checkpoint.pack_format == PackFormat::awq) expected = {experts, columns, rows / 8};
    if (shape_of(view) != expected) {
      refuse(tensor, "shape " + shape_text(shape_of(view)), shape_text(expected));
    }
  }

  /// Scales and zero points of the matrix `stem` (w13 or w2) of rows x columns.
  void read_scales(ProjectionTensors& matrix, const std::string& stem, std::int64_t rows, std::int64_t columns) {
    const std::int64_t experts = layer_.shape.num_local_experts;
    const std::string scale = stem + "_weight_scale";
    const QuantKey& key = layer_.keys.weight;
    const auto per_expert = [&](const std::string& tensor) {
      return stem == "w13" && layer_.shape.gated ? fetch(tensor, f32_only, {{experts}, {experts, 2}})
                                                 : fetch(tensor, f32_only, {{experts}});
    };
    switch (layer_.family) {
      case quant::Family::unquantized: break;
      case quant::Family::fp8:
      case quant::Family::int8:
        if (key == quant_key::fp8_static_tensor) {
          matrix.weight_scale = per_expert(scale);
        } else if (key == quant_key::fp8_static_block128) {
          matrix.weight_scale = fetch(scale, f32_only, {{experts, ceil_div(rows, 128), ceil_div(columns, 128)}});
        } else {
          matrix.weight_scale = fetch(scale, f32_only, {{experts, rows}});
        }
        break;
      case quant::Family::mxfp8:
      case quant::Family::mxfp4: matrix.weight_scale = fetch(scale, u8_only, {{experts, rows, columns / 32}}); break;
      case quant::Family::nvfp4:
        matrix.weight_scale = fetch(scale, e4m3_only, {{experts, rows, columns / 16}});
        matrix.weight_scale_2 = per_expert(scale + "_2");
        break;
      case quant::Family::int_wna16: read_group_scales(matrix, stem, rows, columns); break;
    }
  }

  void read_group_scales(ProjectionTensors& matrix, const std::string& stem, std::int64_t rows, std::int64_t columns) {
    const std::int64_t groups = layer_.group_size == -1 ? 1 : columns / layer_.group_size;
    const bool rows_last = layer_.checkpoint.pack_format != PackFormat::compressed_tensors;
    const std::int64_t experts = layer_.shape.num_local_experts;
    const Shape shape = rows_last ? Shape{experts, groups, rows} : Shape{experts, rows, groups};
    matrix.weight_scale = fetch(stem + "_weight_scale", floats, {shape});
    if (!has("w13_zero_point") && !has("w2_zero_point")) return;  // both matrices have zero points or none has
    const std::string tensor = stem + "_zero_point";
    matrix.zero_point = fetch(tensor, u8_only, {shape});
    if (layer_.keys.weight != quant_key::int4_static_group) return;
    for (const std::byte code : std::span(matrix.zero_point.data, matrix.zero_point.bytes())) {
      const auto number = std::to_integer<int>(code);
      if (number > 15) refuse(tensor, "the code " + std::to_string(number), "codes from 0 to 15 (int4)");
    }
  }

  void read_biases() {
    layer_.checkpoint.w13.bias =
        fetch_optional("w13_bias", floats, {{layer_.shape.num_local_experts, layer_.shape.w13_rows()}});
    layer_.checkpoint.w2.bias =
        fetch_optional("w2_bias", floats, {{layer_.shape.num_local_experts, layer_.shape.hidden_size}});
  }

  void read_input_scale(ProjectionTensors& matrix, const std::string& tensor) {
    const bool is_static = quant::takes_input_scale(layer_.keys.activation);
    if (!(is_static && layer_.is_faithful()) && !has(tensor)) return;
    const TensorView scale = fetch(tensor, f32_only, {{1}, {layer_.shape.num_local_experts}});
    if (is_static) matrix.input_scale = scale;
  }

  // ---- experts and routing

  /// Refuses a tensor with an id outside [-1, count).
  void check_ids(const std::string& tensor, const TensorView& view, const std::string& what, std::int64_t count) const {
    for (const std::int32_t id : elements<std::int32_t>(view)) {
      if (id < -1 || id >= count) {
        refuse(tensor, "the " + what + " " + std::to_string(id), "ids from -1 to " + std::to_string(count - 1));
      }
    }
  }

  template <class T>
  static std::span<const T> elements(const TensorView& view) {
    return {reinterpret_cast<const T*>(view.data), static_cast<std::size_t>(view.count())};
  }

  void read_experts() {
    layer_.shape.num_experts = layer_.shape.num_local_experts;
    if (has("expert_map")) {
      const TensorView map = fetch("expert_map", i32_only);
      if (map.rank != 1 || map.shape[0] == 0) refuse("expert_map", "shape " + shape_text(shape_of(map)), "[E]");
      check_ids("expert_map", map, "local id", layer_.shape.num_local_experts);
      layer_.parameters.expert_map = elements<std::int32_t>(map);
      layer_.shape.num_experts = map.shape[0];
    }
    layer_.parameters.num_experts = layer_.shape.num_experts;
    layer_.parameters.top_k = layer_.shape.top_k;
    if (layer_.shape.top_k > layer_.shape.num_experts) {
      refuse_key("top_k", std::to_string(layer_.shape.top_k),
                 "at most the number of experts, " + std::to_string(layer_.shape.num_experts));
    }
    const bool on_input =
        layer_.parameters.routing == RoutingMethod::llama4 || layer_.parameters.apply_router_weight_on_input;
    if (on_input && layer_.shape.top_k != 1) {
      refuse_key("top_k", std::to_string(layer_.shape.top_k), "1 (llama4 or apply_router_weight_on_input)");
    }
  }

  void read_routed() {
    const Shape chosen{layer_.tokens, layer_.shape.top_k};
    if (layer_.parameters.routing == RoutingMethod::given) {
      layer_.topk_ids = fetch("topk_ids", i32_only, {chosen});
      layer_.topk_weights = fetch("topk_weights", f32_only, {chosen});
      check_ids("topk_ids", layer_.topk_ids, "id", layer_.shape.num_experts);
      return;
    }
    layer_.router_logits = fetch("router_logits", floats, {{layer_.tokens, layer_.shape.num_experts}});
    const TensorView bias = fetch_optional("e_score_correction_bias", f32_only, {{layer_.shape.num_experts}});
    if (bias.present()) layer_.parameters.e_score_correction_bias = elements<float>(bias);
  }

  void read_groups() {
    const bool is_grouped = layer_.parameters.routing == RoutingMethod::deepseek_v3 ||
                            layer_.parameters.routing == RoutingMethod::grouped_softmax;
    if (!is_grouped) {  // not read, but still to be numbers
      for (const char* key : {"n_group", "topk_group"}) integer(key, 1, std::int64_t{1} << 31, "1");
      return;
    }
    const std::int64_t experts = layer_.shape.num_experts;
    const std::int64_t n_group = integer("n_group", 1, experts);
    if (experts % n_group != 0) {
      refuse_key("n_group", std::to_string(n_group), "a divisor of the number of experts, " + std::to_string(experts));
    }
    const std::int64_t topk_group = integer("topk_group", 1, n_group);
    if (topk_group * (experts / n_group) < layer_.shape.top_k) {
      refuse_key("topk_group", std::to_string(topk_group),
                 "groups with at least top_k = " + std::to_string(layer_.shape.top_k) + " experts");
    }
    layer_.parameters.routing_parameters.n_group = static_cast<std::int32_t>(n_group);
    layer_.parameters.routing_parameters.topk_group = static_cast<std::int32_t>(topk_group);
  }

  std::string path_;
  LayerFile layer_;
  std::map<std::string, std::string> values_;  ///< without "polymoe."
};

}  // namespace detail

inline LayerFile LayerFile::load(const std::string& path) {
  return detail::LayerFileLoader(path).load();
}

}  // namespace polymoe::tools
