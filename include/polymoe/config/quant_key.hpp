// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace polymoe {

/// What one stored element is.
enum class QuantElement : std::uint8_t { none, f8_e4m3, e2m1, i8, uint4b8, uint8b128 };

/// What one scale is.
enum class QuantScale : std::uint8_t { none, f32, e8m0, f8_e4m3, any_float };

/// A scale's reach along (rows, K); `whole` spans the dimension.
struct GroupShape {
  std::int32_t rows = whole;
  std::int32_t columns = whole;

  static constexpr std::int32_t whole = -1;

  bool operator==(const GroupShape&) const = default;
};

/// How a tensor is quantized: element, scale, reach of a scale, known beforehand or from the data
/// (numerics.md, section 4). Structural.
struct QuantKey {
  QuantElement element = QuantElement::none;
  QuantScale scale = QuantScale::none;
  GroupShape group{};
  bool is_static = true;
  bool has_global_scale = false;  ///< a second, per-tensor fp32 scale (nvfp4)

  /// Not quantized: bf16, fp16 or fp32 as it comes.
  constexpr bool is_none() const { return element == QuantElement::none; }

  bool operator==(const QuantKey&) const = default;
};

/// The keys of numerics.md, section 4, and those that only vLLM's oracles know.
namespace quant_key {

inline constexpr QuantKey none{};
inline constexpr std::int32_t whole = GroupShape::whole;

inline constexpr QuantKey fp8_static_tensor{QuantElement::f8_e4m3, QuantScale::f32, {whole, whole}, true, false};
inline constexpr QuantKey fp8_static_channel{QuantElement::f8_e4m3, QuantScale::f32, {whole, 1}, true, false};
inline constexpr QuantKey fp8_static_token{QuantElement::f8_e4m3, QuantScale::f32, {1, whole}, true, false};
inline constexpr QuantKey fp8_static_block128{QuantElement::f8_e4m3, QuantScale::f32, {128, 128}, true, false};
inline constexpr QuantKey fp8_dynamic_tensor{QuantElement::f8_e4m3, QuantScale::f32, {whole, whole}, false, false};
inline constexpr QuantKey fp8_dynamic_token{QuantElement::f8_e4m3, QuantScale::f32, {1, whole}, false, false};
inline constexpr QuantKey fp8_dynamic_group128{QuantElement::f8_e4m3, QuantScale::f32, {1, 128}, false, false};
inline constexpr QuantKey fp8_dynamic_group64{QuantElement::f8_e4m3, QuantScale::f32, {1, 64}, false, false};
inline constexpr QuantKey mxfp8_static{QuantElement::f8_e4m3, QuantScale::e8m0, {1, 32}, true, false};
inline constexpr QuantKey mxfp8_dynamic{QuantElement::f8_e4m3, QuantScale::e8m0, {1, 32}, false, false};
inline constexpr QuantKey mxfp4_static{QuantElement::e2m1, QuantScale::e8m0, {1, 32}, true, false};
inline constexpr QuantKey mxfp4_dynamic{QuantElement::e2m1, QuantScale::e8m0, {1, 32}, false, false};
inline constexpr QuantKey nvfp4_static{QuantElement::e2m1, QuantScale::f8_e4m3, {1, 16}, true, true};
inline constexpr QuantKey nvfp4_dynamic{QuantElement::e2m1, QuantScale::f8_e4m3, {1, 16}, false, true};
inline constexpr QuantKey int8_static_channel{QuantElement::i8, QuantScale::f32, {whole, 1}, true, false};
inline constexpr QuantKey int8_dynamic_token{QuantElement::i8, QuantScale::f32, {1, whole}, false, false};
/// The group size of wna16 belongs to the scheme, not to the key.
inline constexpr QuantKey int4_static_group{QuantElement::uint4b8, QuantScale::any_float, {1, whole}, true, false};
inline constexpr QuantKey int8_static_group{QuantElement::uint8b128, QuantScale::any_float, {1, whole}, true, false};

}  // namespace quant_key

namespace detail {

struct QuantKeyRow {
  QuantKey value;
  std::string_view name;       ///< of numerics.md
  std::string_view vllm_name;  ///< the constant's name in vLLM, "" where there is none
};

inline constexpr std::array<QuantKeyRow, 19> quant_key_table{{
    {quant_key::none, "none", ""},
    {quant_key::fp8_static_tensor, "fp8_static_tensor", "kFp8StaticTensorSym"},
    {quant_key::fp8_static_channel, "fp8_static_channel", "kFp8StaticChannelSym"},
    {quant_key::fp8_static_token, "fp8_static_token", "kFp8StaticTokenSym"},
    {quant_key::fp8_static_block128, "fp8_static_block128", "kFp8Static128BlockSym"},
    {quant_key::fp8_dynamic_tensor, "fp8_dynamic_tensor", "kFp8DynamicTensorSym"},
    {quant_key::fp8_dynamic_token, "fp8_dynamic_token", "kFp8DynamicTokenSym"},
    {quant_key::fp8_dynamic_group128, "fp8_dynamic_group128", "kFp8Dynamic128Sym"},
    {quant_key::fp8_dynamic_group64, "fp8_dynamic_group64", "kFp8Dynamic64Sym"},
    {quant_key::mxfp8_static, "mxfp8_static", "kMxfp8Static"},
    {quant_key::mxfp8_dynamic, "mxfp8_dynamic", "kMxfp8Dynamic"},
    {quant_key::mxfp4_static, "mxfp4_static", "kMxfp4Static"},
    {quant_key::mxfp4_dynamic, "mxfp4_dynamic", "kMxfp4Dynamic"},
    {quant_key::nvfp4_static, "nvfp4_static", "kNvfp4Static"},
    {quant_key::nvfp4_dynamic, "nvfp4_dynamic", "kNvfp4Dynamic"},
    {quant_key::int8_static_channel, "int8_static_channel", "kInt8StaticChannelSym"},
    {quant_key::int8_dynamic_token, "int8_dynamic_token", "kInt8DynamicTokenSym"},
    {quant_key::int4_static_group, "int4_static_group", "kInt4Static"},
    {quant_key::int8_static_group, "int8_static_group", "kInt8Static"},
}};

}  // namespace detail

constexpr std::string_view name(const QuantKey& key) {
  for (const detail::QuantKeyRow& row : detail::quant_key_table) {
    if (row.value == key) return row.name;
  }
  return "unnamed";
}

/// Finds a key by its name in numerics.md or by vLLM's constant.
constexpr std::optional<QuantKey> quant_key_from_name(std::string_view text) {
  for (const detail::QuantKeyRow& row : detail::quant_key_table) {
    if (row.name == text || (row.vllm_name == text && !text.empty())) return row.value;
  }
  return std::nullopt;
}

/// faithful: activations are quantized exactly as the key says; wide: they stay at 16 bits or wider.
enum class ActivationMode : std::uint8_t { wide, faithful };

constexpr std::string_view name(ActivationMode mode) {
  return mode == ActivationMode::wide ? "wide" : "faithful";
}

/// What a scheme asks of a backend: how weights are stored, how activations are to be treated.
struct QuantKeys {
  QuantKey weight{};
  QuantKey activation{};
  ActivationMode mode = ActivationMode::wide;

  /// The key by which activations are really quantized: none in mode wide.
  constexpr QuantKey effective_activation() const {
    return mode == ActivationMode::faithful ? activation : quant_key::none;
  }

  /// Every value that an activation can have is a bf16 number: it is not quantized, or by powers of two.
  constexpr bool activations_are_bf16() const {
    return effective_activation().is_none() || effective_activation().scale == QuantScale::e8m0;
  }

  /// The products are of 16-bit (or wider) numbers: nothing asks for integer arithmetic.
  constexpr bool computes_in_16_bits() const { return effective_activation().element != QuantElement::i8; }

  bool operator==(const QuantKeys&) const = default;
};

}  // namespace polymoe
