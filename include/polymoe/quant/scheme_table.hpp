// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#pragma once

#include <array>
#include <boost/mp11/algorithm.hpp>
#include <boost/mp11/list.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "polymoe/config/quant_key.hpp"
#include "polymoe/quant/scheme.hpp"

namespace polymoe::quant {

namespace detail {

template <std::size_t... i>
constexpr auto quantized_schemes(std::index_sequence<i...>) {
  return boost::mp11::mp_list<
      Quantized<QuantKeys{valid_pairs[i + 1].weight, valid_pairs[i + 1].activation, ActivationMode::faithful}>...,
      Quantized<QuantKeys{valid_pairs[i + 1].weight, valid_pairs[i + 1].activation, ActivationMode::wide}>...>{};
}

template <class S>
using is_distinct = boost::mp11::mp_bool<S::keys.mode == ActivationMode::wide || !S::keys.activation.is_none()>;

template <class S>
using computes_by_itself = boost::mp11::mp_bool<S::keys.activation == S::keys.effective_activation()>;

}  // namespace detail

/// Every scheme: each valid pair in both modes (without activation key there is just one). Group sizes of wna16 are the
/// checkpoint's.
using all_schemes = boost::mp11::mp_push_front<
    boost::mp11::mp_copy_if<decltype(detail::quantized_schemes(std::make_index_sequence<valid_pairs.size() - 1>{})),
                            detail::is_distinct>,
    Unquantized>;

/// The schemes that compute differently: in mode wide all activation keys of a weight key are one. What a tool
/// instantiates that serves every scheme.
using distinct_schemes = boost::mp11::mp_copy_if<all_schemes, detail::computes_by_itself>;

/// The keys of the distinct scheme that computes as `keys` do.
constexpr QuantKeys distinct_keys(const QuantKeys& keys) {
  const QuantKey activation = keys.effective_activation();
  return {keys.weight, activation, activation.is_none() ? ActivationMode::wide : ActivationMode::faithful};
}

namespace detail {

template <class... Schemes>
constexpr auto infos_of(boost::mp11::mp_list<Schemes...>) {
  return std::array<SchemeInfo, sizeof...(Schemes)>{scheme_info<Schemes>...};
}

}  // namespace detail

/// From (weight key, activation key, mode) to a scheme: row i describes the i-th type of distinct_schemes.
inline constexpr auto scheme_table = detail::infos_of(distinct_schemes{});

/// The index in distinct_schemes (and scheme_table) of the scheme that computes as `keys` do; nothing where the pair is
/// not valid.
constexpr std::optional<std::size_t> scheme_index(const QuantKeys& keys) {
  if (!is_valid_pair(keys.weight, keys.activation)) return std::nullopt;
  const QuantKeys distinct = distinct_keys(keys);
  for (std::size_t i = 0; i < scheme_table.size(); ++i) {
    if (scheme_table[i].keys == distinct) return i;
  }
  return std::nullopt;
}

/// The type itself.
template <QuantKeys keys>
requires(scheme_index(keys).has_value()) using SchemeFor =
    boost::mp11::mp_at_c<distinct_schemes, scheme_index(keys).value_or(0)>;

/// Calls f.template operator()<S>() with the distinct scheme that computes as `keys` do and returns true; false where
/// the pair is not valid.
template <class F>
bool visit_scheme(const QuantKeys& keys, F&& f) {
  const std::optional<std::size_t> index = scheme_index(keys);
  if (!index) return false;
  boost::mp11::mp_with_index<boost::mp11::mp_size<distinct_schemes>::value>(
      *index, [&](auto i) { f.template operator()<boost::mp11::mp_at_c<distinct_schemes, decltype(i)::value>>(); });
  return true;
}

/// A scheme that a user can ask for by name, to make a checkpoint of or to quantize one at load.
struct NamedScheme {
  std::string_view name{};
  QuantKey weight{};
  QuantKey activation{};
  std::int32_t group_size = 0;  ///< wna16

  /// The keys in a mode; `faithful` where there is something to be faithful to.
  constexpr QuantKeys keys(ActivationMode mode) const {
    return {weight, activation, activation.is_none() ? ActivationMode::wide : mode};
  }
};

inline constexpr std::array<NamedScheme, 17> named_schemes{{
    {"bf16", quant_key::none, quant_key::none, 0},
    {"fp8_block128", quant_key::fp8_static_block128, quant_key::fp8_dynamic_group128, 0},
    {"fp8_channel", quant_key::fp8_static_channel, quant_key::fp8_dynamic_token, 0},
    {"fp8_tensor", quant_key::fp8_static_tensor, quant_key::fp8_dynamic_tensor, 0},
    {"fp8_tensor_static", quant_key::fp8_static_tensor, quant_key::fp8_static_tensor, 0},
    {"mxfp8", quant_key::mxfp8_static, quant_key::mxfp8_dynamic, 0},
    {"mxfp4", quant_key::mxfp4_static, quant_key::mxfp8_dynamic, 0},
    {"mxfp4_fp8", quant_key::mxfp4_static, quant_key::fp8_static_tensor, 0},
    {"mxfp4_mxfp4", quant_key::mxfp4_static, quant_key::mxfp4_dynamic, 0},
    {"nvfp4", quant_key::nvfp4_static, quant_key::nvfp4_dynamic, 0},
    {"int8_w8a8", quant_key::int8_static_channel, quant_key::int8_dynamic_token, 0},
    {"int8_g32", quant_key::int8_static_group, quant_key::none, 32},
    {"int8_g128", quant_key::int8_static_group, quant_key::none, 128},
    {"int4_g32", quant_key::int4_static_group, quant_key::none, 32},
    {"int4_g64", quant_key::int4_static_group, quant_key::none, 64},
    {"int4_g128", quant_key::int4_static_group, quant_key::none, 128},
    {"int4_row", quant_key::int4_static_group, quant_key::none, whole_row},
}};

constexpr std::optional<NamedScheme> named_scheme(std::string_view text) {
  for (const NamedScheme& scheme : named_schemes) {
    if (scheme.name == text) return scheme;
  }
  return std::nullopt;
}

}  // namespace polymoe::quant
