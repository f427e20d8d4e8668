// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/quant/scheme.hpp"

#include <gtest/gtest.h>

#include <boost/mp11/algorithm.hpp>
#include <set>
#include <string>

#include "polymoe/quant/scheme_table.hpp"

namespace polymoe::quant {
namespace {

static_assert(Fp8Block128::family == Family::fp8 && Fp8Block128::keys.mode == ActivationMode::wide);
static_assert(Fp8Block128::keys.activation == quant_key::fp8_dynamic_group128);
static_assert(Mxfp4::keys.activation.is_none() && Mxfp4::group_size == 32);
static_assert(NvFp4::group_size == 16 && Fp8Channel::group_size == whole_row && Fp8Block128::group_size == 128);
static_assert(Int8Channel::keys.mode == ActivationMode::faithful && !Int8Channel::keys.computes_in_16_bits());
static_assert(IntWna16<4, 128>::group_size == 128 && IntWna16<4>::group_size == checkpoint_group);
static_assert(IntWna16<8, whole_row, Choice::no>::zero_points == Choice::no);

static_assert(Fp8Block128::name() == "fp8_static_block128/fp8_dynamic_group128/wide");
static_assert(Int8Channel::name() == "int8_static_channel/int8_dynamic_token/faithful");
static_assert(IntWna16<4, 128>::name() == "int4_static_group128");
static_assert(IntWna16<8, whole_row, Choice::yes>::name() == "int8_static_group_row_zp");

// The page lists 19 pairs of quantized weights; ten of them have an activation key and therefore two modes.
static_assert(boost::mp11::mp_size<all_schemes>::value == 1 + 19 + 10);
static_assert(boost::mp11::mp_size<distinct_schemes>::value == 1 + 9 + 10);
static_assert(boost::mp11::mp_is_set<all_schemes>::value);

static_assert(std::same_as<SchemeFor<QuantKeys{quant_key::nvfp4_static, quant_key::nvfp4_dynamic}>, NvFp4A16>);
static_assert(std::same_as<SchemeFor<Int8Channel::keys>, Int8Channel>);
static_assert(!scheme_index({quant_key::nvfp4_static, quant_key::mxfp8_dynamic}).has_value());
static_assert(!scheme_index({quant_key::fp8_static_token, quant_key::none}).has_value());

static_assert(default_mode(quant_key::int8_dynamic_token) == ActivationMode::faithful);
static_assert(default_mode(quant_key::fp8_dynamic_token) == ActivationMode::wide);
static_assert(family_from_name("int_wna16") == Family::int_wna16 && name(Family::mxfp8) == "mxfp8");

TEST(Scheme, names_tell_all_schemes_apart_and_fit_the_header_of_packed_weights) {
  std::set<std::string> names;
  boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, all_schemes>>([&]<class S>(S) {
    EXPECT_TRUE(names.insert(std::string(S::type::name())).second) << S::type::name();
    EXPECT_LT(S::type::name().size(), 64U);
  });
}

TEST(Scheme, every_valid_pair_has_a_type_in_both_modes) {
  for (const KeyPair& pair : valid_pairs) {
    for (const ActivationMode mode : {ActivationMode::wide, ActivationMode::faithful}) {
      const QuantKeys keys{pair.weight, pair.activation, mode};
      EXPECT_TRUE(visit_scheme(keys, [&]<class S>() {
        EXPECT_EQ(S::keys.weight, pair.weight);
        EXPECT_EQ(S::keys.effective_activation(), keys.effective_activation());
        EXPECT_EQ(S::family, pair.family);
      }));
    }
  }
}

TEST(Scheme, every_named_scheme_has_a_type) {
  for (const NamedScheme& scheme : named_schemes) {
    EXPECT_TRUE(scheme_index(scheme.keys(ActivationMode::faithful)).has_value()) << scheme.name;
    EXPECT_EQ(named_scheme(scheme.name)->weight, scheme.weight);
  }
  EXPECT_FALSE(named_scheme("int5").has_value());
}

}  // namespace
}  // namespace polymoe::quant
