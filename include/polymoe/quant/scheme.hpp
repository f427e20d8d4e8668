// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "polymoe/config/fused_moe_config.hpp"
#include "polymoe/config/named_enum.hpp"
#include "polymoe/config/quant_key.hpp"

namespace polymoe::quant {

/// The oracle that is asked about a scheme.
enum class Family : std::uint8_t { unquantized, fp8, mxfp8, mxfp4, nvfp4, int8, int_wna16 };

/// One of numerics.md's valid pairs.
struct KeyPair {
  Family family = Family::unquantized;
  QuantKey weight{};
  QuantKey activation{};
};

namespace detail {

struct FamilyRow {
  Family value;
  std::string_view name;
};

inline constexpr std::array<FamilyRow, 7> family_table{{
    {Family::unquantized, "unquantized"},
    {Family::fp8, "fp8"},
    {Family::mxfp8, "mxfp8"},
    {Family::mxfp4, "mxfp4"},
    {Family::nvfp4, "nvfp4"},
    {Family::int8, "int8"},
    {Family::int_wna16, "int_wna16"},
}};

}  // namespace detail

constexpr std::string_view name(Family family) {
  return polymoe::detail::row_of(detail::family_table, family).name;
}

constexpr std::optional<Family> family_from_name(std::string_view text) {
  return polymoe::detail::value_from_name<Family>(detail::family_table, text);
}

/// numerics.md, section 4, "Valid pairs (weight key, activation key)".
inline constexpr std::array<KeyPair, 20> valid_pairs{{
    {Family::unquantized, quant_key::none, quant_key::none},
    {Family::fp8, quant_key::fp8_static_tensor, quant_key::none},
    {Family::fp8, quant_key::fp8_static_tensor, quant_key::fp8_static_tensor},
    {Family::fp8, quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor},
    {Family::fp8, quant_key::fp8_static_channel, quant_key::none},
    {Family::fp8, quant_key::fp8_static_channel, quant_key::fp8_dynamic_token},
    {Family::fp8, quant_key::fp8_static_block128, quant_key::none},
    {Family::fp8, quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128},
    {Family::mxfp8, quant_key::mxfp8_static, quant_key::none},
    {Family::mxfp8, quant_key::mxfp8_static, quant_key::mxfp8_dynamic},
    {Family::mxfp4, quant_key::mxfp4_static, quant_key::none},
    {Family::mxfp4, quant_key::mxfp4_static, quant_key::mxfp8_dynamic},
    {Family::mxfp4, quant_key::mxfp4_static, quant_key::fp8_static_tensor},
    {Family::mxfp4, quant_key::mxfp4_static, quant_key::mxfp4_dynamic},
    {Family::nvfp4, quant_key::nvfp4_static, quant_key::none},
    {Family::nvfp4, quant_key::nvfp4_static, quant_key::nvfp4_dynamic},
    {Family::int8, quant_key::int8_static_channel, quant_key::none},
    {Family::int8, quant_key::int8_static_channel, quant_key::int8_dynamic_token},
    {Family::int_wna16, quant_key::int4_static_group, quant_key::none},
    {Family::int_wna16, quant_key::int8_static_group, quant_key::none},
}};

constexpr bool is_valid_pair(const QuantKey& weight, const QuantKey& activation) {
  for (const KeyPair& pair : valid_pairs) {
    if (pair.weight == weight && pair.activation == activation) return true;
  }
  return false;
}

/// The family of a weight key that has one.
constexpr std::optional<Family> family_of(const QuantKey& weight) {
  for (const KeyPair& pair : valid_pairs) {
    if (pair.weight == weight) return pair.family;
  }
  return std::nullopt;
}

/// int8_dynamic_token is computed faithfully by default, because a CPU has int8 arithmetic; all else wide.
constexpr ActivationMode default_mode(const QuantKey& activation) {
  return activation == quant_key::int8_dynamic_token ? ActivationMode::faithful : ActivationMode::wide;
}

/// The activation key needs a scale from the checkpoint.
constexpr bool takes_input_scale(const QuantKey& activation) {
  return activation == quant_key::fp8_static_tensor || activation == quant_key::nvfp4_dynamic;
}

/// Checkpoints of the weight key may carry such scales; without the activation key, or in mode wide, nobody reads them.
constexpr bool may_carry_input_scale(const QuantKey& weight) {
  for (const KeyPair& pair : valid_pairs) {
    if (pair.weight == weight && takes_input_scale(pair.activation)) return true;
  }
  return false;
}

constexpr bool is_wna16(const QuantKey& weight) {
  return weight.element == QuantElement::uint4b8 || weight.element == QuantElement::uint8b128;
}

/// One scale for the matrix of an expert; W13 may have one for w1 and one for w3.
constexpr bool is_per_tensor(const QuantKey& weight) {
  return weight.group.rows == GroupShape::whole && weight.group.columns == GroupShape::whole;
}

/// One scale for each row.
constexpr bool is_per_row(const QuantKey& weight) {
  return weight.group.rows == GroupShape::whole && weight.group.columns == 1;
}

/// Columns that share a scale of wna16: 32, 64, 128, or one of these.
inline constexpr std::int32_t whole_row = -1;        ///< one scale a row
inline constexpr std::int32_t checkpoint_group = 0;  ///< what the shape of the checkpoint's scales says

/// A scheme says, as a type, what the checkpoint holds and how the layer computes with it.
template <class S>
concept Scheme = requires {
  { S::family } -> std::convertible_to<Family>;
  { S::keys } -> std::convertible_to<QuantKeys>;
  { S::group_size } -> std::convertible_to<std::int32_t>;
  { S::zero_points } -> std::convertible_to<Choice>;
  { S::name() } -> std::convertible_to<std::string_view>;
};

namespace detail {

/// A scheme's name, put together at compile time.
struct SchemeName {
  std::array<char, 63> text{};
  std::size_t size = 0;

  constexpr void append(std::string_view part) {
    for (const char c : part) text[size++] = c;
  }
  constexpr std::string_view view() const { return {text.data(), size}; }
};

constexpr std::string_view group_suffix(std::int32_t group_size) {
  switch (group_size) {
    case 32: return "32";
    case 64: return "64";
    case 128: return "128";
    case whole_row: return "_row";
    default: return "";
  }
}

constexpr SchemeName scheme_name(const QuantKeys& keys, std::int32_t group_size, Choice zero_points) {
  SchemeName result;
  result.append(polymoe::name(keys.weight));
  if (is_wna16(keys.weight)) {
    result.append(group_suffix(group_size));
    if (zero_points == Choice::yes) result.append("_zp");
    if (zero_points == Choice::no) result.append("_sym");
  }
  if (!keys.activation.is_none()) {
    result.append("/");
    result.append(polymoe::name(keys.activation));
    result.append("/");
    result.append(polymoe::name(keys.mode));
  }
  return result;
}

}  // namespace detail

/// Weights as bf16, fp16 or fp32, and activations as they come.
struct Unquantized {
  static constexpr Family family = Family::unquantized;
  static constexpr QuantKeys keys{};
  static constexpr std::int32_t group_size = 0;
  static constexpr Choice zero_points = Choice::no;
  static constexpr std::string_view name() { return "unquantized"; }
};

/// Any other valid pair of keys in a mode. Only int4_static_group and int8_static_group read `group` and `zeros`: 32,
/// 64, 128, whole_row, or what the checkpoint brings along (checkpoint_group; Choice::runtime), so that one type serves
/// all.
template <QuantKeys quant_keys, std::int32_t group = checkpoint_group, Choice zeros = Choice::runtime>
struct Quantized {
  static_assert(is_valid_pair(quant_keys.weight, quant_keys.activation) && !quant_keys.weight.is_none(),
                "polymoe: no scheme has this pair of weight and activation keys (numerics.md, section 4)");
  static_assert(group == checkpoint_group ||
                    (is_wna16(quant_keys.weight) && (group == 32 || group == 64 || group == 128 || group == whole_row)),
                "polymoe: group sizes are 32, 64, 128 or whole_row, and belong to int4 and int8 weights in groups");

  static constexpr Family family = *family_of(quant_keys.weight);
  static constexpr QuantKeys keys = quant_keys;
  /// Columns that share a scale; whole_row, or checkpoint_group (wna16).
  static constexpr std::int32_t group_size = is_wna16(quant_keys.weight)           ? group
                                             : quant_keys.weight.group.columns > 1 ? quant_keys.weight.group.columns
                                                                                   : whole_row;
  static constexpr Choice zero_points = is_wna16(quant_keys.weight) ? zeros : Choice::no;

  /// "fp8_static_block128/fp8_dynamic_group128/wide", "int4_static_group128".
  static constexpr std::string_view name() { return full_name.view(); }

 private:
  static constexpr detail::SchemeName full_name = detail::scheme_name(quant_keys, group, zeros);
};

/// fp8 e4m3 weights.
template <ActivationMode mode = ActivationMode::wide>
using Fp8TensorStatic = Quantized<QuantKeys{quant_key::fp8_static_tensor, quant_key::fp8_static_tensor, mode}>;
template <ActivationMode mode = ActivationMode::wide>
using Fp8TensorDynamic = Quantized<QuantKeys{quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor, mode}>;
template <ActivationMode mode = ActivationMode::wide>
using Fp8ChannelDynamic = Quantized<QuantKeys{quant_key::fp8_static_channel, quant_key::fp8_dynamic_token, mode}>;
template <ActivationMode mode = ActivationMode::wide>
using Fp8BlockDynamic = Quantized<QuantKeys{quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128, mode}>;

using Fp8Tensor = Fp8TensorDynamic<>;
using Fp8Channel = Fp8ChannelDynamic<>;
using Fp8Block128 = Fp8BlockDynamic<>;
using Fp8TensorFaithful = Fp8TensorDynamic<ActivationMode::faithful>;
using Fp8TensorStaticFaithful = Fp8TensorStatic<ActivationMode::faithful>;
using Fp8ChannelFaithful = Fp8ChannelDynamic<ActivationMode::faithful>;
using Fp8Block128Faithful = Fp8BlockDynamic<ActivationMode::faithful>;
using Fp8TensorA16 = Quantized<QuantKeys{quant_key::fp8_static_tensor}>;
using Fp8ChannelA16 = Quantized<QuantKeys{quant_key::fp8_static_channel}>;
using Fp8Block128A16 = Quantized<QuantKeys{quant_key::fp8_static_block128}>;

/// OCP MX formats: blocks of 32 with a power of two.
using Mxfp8 = Quantized<QuantKeys{quant_key::mxfp8_static, quant_key::mxfp8_dynamic}>;
using Mxfp8Faithful = Quantized<QuantKeys{quant_key::mxfp8_static, quant_key::mxfp8_dynamic, ActivationMode::faithful}>;
using Mxfp8A16 = Quantized<QuantKeys{quant_key::mxfp8_static}>;
using Mxfp4 = Quantized<QuantKeys{quant_key::mxfp4_static}>;
using Mxfp4Mxfp8 = Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::mxfp8_dynamic}>;
using Mxfp4Fp8 = Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::fp8_static_tensor}>;
using Mxfp4Mxfp4 = Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::mxfp4_dynamic}>;
using Mxfp4Mxfp8Faithful =
    Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::mxfp8_dynamic, ActivationMode::faithful}>;
using Mxfp4Fp8Faithful =
    Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::fp8_static_tensor, ActivationMode::faithful}>;
using Mxfp4Mxfp4Faithful =
    Quantized<QuantKeys{quant_key::mxfp4_static, quant_key::mxfp4_dynamic, ActivationMode::faithful}>;

/// Blocks of 16 with an e4m3 scale, and one fp32 scale for all.
using NvFp4 = Quantized<QuantKeys{quant_key::nvfp4_static, quant_key::nvfp4_dynamic}>;
using NvFp4Faithful = Quantized<QuantKeys{quant_key::nvfp4_static, quant_key::nvfp4_dynamic, ActivationMode::faithful}>;
using NvFp4A16 = Quantized<QuantKeys{quant_key::nvfp4_static}>;

/// int8 weights and activations: int32 sums by default.
using Int8Channel =
    Quantized<QuantKeys{quant_key::int8_static_channel, quant_key::int8_dynamic_token, ActivationMode::faithful}>;
using Int8ChannelWide =
    Quantized<QuantKeys{quant_key::int8_static_channel, quant_key::int8_dynamic_token, ActivationMode::wide}>;
using Int8ChannelA16 = Quantized<QuantKeys{quant_key::int8_static_channel}>;

/// int4 or int8 weights in groups, 16-bit activations. IntWna16<4> reads the group size off the checkpoint.
template <int bits, std::int32_t group = checkpoint_group, Choice zeros = Choice::runtime>
requires(bits == 4 || bits == 8) using IntWna16 =
    Quantized<QuantKeys{bits == 4 ? quant_key::int4_static_group : quant_key::int8_static_group}, group, zeros>;

static_assert(Scheme<Unquantized> && Scheme<Fp8Block128> && Scheme<IntWna16<4, 128>>);

/// A scheme as a value: what code needs that is the same for all schemes.
struct SchemeInfo {
  Family family = Family::unquantized;
  QuantKeys keys{};
  std::int32_t group_size = 0;
  Choice zero_points = Choice::no;
  std::string_view name{};
};

template <Scheme S>
inline constexpr SchemeInfo scheme_info{S::family, S::keys, S::group_size, S::zero_points, S::name()};

}  // namespace polymoe::quant
