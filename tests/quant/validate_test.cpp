// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "polymoe/quant/validate.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>

#include "polymoe/quant/scheme_table.hpp"
#include "tests/support/random_checkpoint.hpp"

namespace polymoe::quant {
namespace {

using test::TensorStore;

constexpr std::int64_t experts = 8;
constexpr std::int64_t hidden = 256;
constexpr std::int64_t intermediate = 384;

/// A complete checkpoint of fp8 in blocks, of nvfp4, and of int4 in groups of 64.
struct Fixture {
  TensorStore store;
  MoECheckpoint checkpoint;

  static Fixture blocks() {
    Fixture f;
    f.checkpoint.w13 = {.weight = f.store.zeros(DType::f8_e4m3, {experts, 2 * intermediate, hidden}),
                        .weight_scale = f.store.zeros(DType::f32, {experts, 6, 2})};
    f.checkpoint.w2 = {.weight = f.store.zeros(DType::f8_e4m3, {experts, hidden, intermediate}),
                       .weight_scale = f.store.zeros(DType::f32, {experts, 2, 3})};
    return f;
  }

  static Fixture nvfp4() {
    Fixture f;
    f.checkpoint.w13 = {.weight = f.store.zeros(DType::u8, {experts, 2 * intermediate, hidden / 2}),
                        .weight_scale = f.store.zeros(DType::f8_e4m3, {experts, 2 * intermediate, hidden / 16}),
                        .weight_scale_2 = f.store.zeros(DType::f32, {experts, 2}),
                        .input_scale = f.store.zeros(DType::f32, {experts})};
    f.checkpoint.w2 = {.weight = f.store.zeros(DType::u8, {experts, hidden, intermediate / 2}),
                       .weight_scale = f.store.zeros(DType::f8_e4m3, {experts, hidden, intermediate / 16}),
                       .weight_scale_2 = f.store.zeros(DType::f32, {experts}),
                       .input_scale = f.store.zeros(DType::f32, {1})};
    return f;
  }

  static Fixture groups() {
    Fixture f;
    f.checkpoint.w13 = {.weight = f.store.zeros(DType::i32, {experts, 2 * intermediate, hidden / 8}),
                        .weight_scale = f.store.zeros(DType::bf16, {experts, 2 * intermediate, hidden / 64}),
                        .zero_point = f.store.zeros(DType::u8, {experts, 2 * intermediate, hidden / 64})};
    f.checkpoint.w2 = {.weight = f.store.zeros(DType::i32, {experts, hidden, intermediate / 8}),
                       .weight_scale = f.store.zeros(DType::f16, {experts, hidden, intermediate / 64}),
                       .zero_point = f.store.zeros(DType::u8, {experts, hidden, intermediate / 64})};
    return f;
  }
};

template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

template <Scheme S>
std::string refusal(const MoECheckpoint& checkpoint, Activation activation = Activation::silu) {
  return message_of([&] { static_cast<void>(make_quant_config<S>(checkpoint, activation)); });
}

TEST(Validate, accepts_complete_checkpoints) {
  EXPECT_EQ(refusal<Fp8Block128>(Fixture::blocks().checkpoint), "accepted");
  EXPECT_EQ(refusal<NvFp4>(Fixture::nvfp4().checkpoint), "accepted");
  EXPECT_EQ(refusal<NvFp4Faithful>(Fixture::nvfp4().checkpoint), "accepted");
  EXPECT_EQ(refusal<IntWna16<4>>(Fixture::groups().checkpoint), "accepted");
  EXPECT_EQ((refusal<IntWna16<4, 64, Choice::yes>>(Fixture::groups().checkpoint)), "accepted");
  EXPECT_EQ(checkpoint_group_size<IntWna16<4>>(Fixture::groups().checkpoint), 64);
  EXPECT_EQ(checkpoint_group_size<Fp8Block128>(Fixture::blocks().checkpoint), 0);
}

TEST(Validate, finds_the_sizes_in_the_weights) {
  const LayerShape sizes = checkpoint_shape<NvFp4>(Fixture::nvfp4().checkpoint);
  EXPECT_EQ(sizes.num_local_experts, experts);
  EXPECT_EQ(sizes.hidden_size, hidden);
  EXPECT_EQ(sizes.intermediate_size, intermediate);
  EXPECT_TRUE(sizes.gated);
}

TEST(Validate, says_what_was_found_and_what_was_expected) {
  Fixture f = Fixture::blocks();
  f.checkpoint.w13.weight_scale = f.store.zeros(DType::f32, {experts, 6, 3});
  EXPECT_EQ(refusal<Fp8Block128>(f.checkpoint),
            "w13_weight_scale: found F32 [8, 6, 3], expected F32 [8, 6, 2] "
            "(one scale per 128 x 128 block of a 768 x 256 matrix)");
  f = Fixture::blocks();
  f.checkpoint.w2.weight_scale = {};
  EXPECT_EQ(refusal<Fp8Block128>(f.checkpoint),
            "w2_weight_scale: found no such tensor, expected F32 [8, 2, 3] "
            "(one scale per 128 x 128 block of a 256 x 384 matrix)");
}

/// One thing that can be wrong, and words of the message that names it.
struct Defect {
  const char* words;
  std::function<void(Fixture&)> make;
};

template <Scheme S>
void refuses(Fixture (*complete)(), std::initializer_list<Defect> defects) {
  for (const Defect& defect : defects) {
    Fixture f = complete();
    defect.make(f);
    EXPECT_NE(refusal<S>(f.checkpoint).find(defect.words), std::string::npos)
        << "expected " << defect.words << "\n   found " << refusal<S>(f.checkpoint);
  }
}

TEST(Validate, refuses_what_is_missing_too_much_or_of_another_shape_or_type) {
  refuses<Fp8Block128>(
      Fixture::blocks,
      {{"w13_weight: found no such tensor, expected F8_E4M3", [](Fixture& f) { f.checkpoint.w13.weight = {}; }},
       {"w2_weight: found I8", [](Fixture& f) { f.checkpoint.w2.weight.dtype = DType::i8; }},
       {"w13_weight: found F8_E4M3 [8, 770, 256], expected [8, 768, 256]",
        [](Fixture& f) { f.checkpoint.w13.weight.shape[1] = 770; }},
       {"w13_weight: found F8_E4M3 [8, 768, 255]", [](Fixture& f) { f.checkpoint.w13.weight.shape[2] = 255; }},
       {"w13_weight: found F8_E4M3 [7, 768, 256]", [](Fixture& f) { f.checkpoint.w13.weight.shape[0] = 7; }},
       {"dimensions from 1 to 2^31", [](Fixture& f) { f.checkpoint.w13.weight.shape[1] = 0; }},
       {"w13_weight_scale: found BF16", [](Fixture& f) { f.checkpoint.w13.weight_scale.dtype = DType::bf16; }},
       {"w2_weight_scale_2: found F32 [8], expected no such tensor",
        [](Fixture& f) { f.checkpoint.w2.weight_scale_2 = f.store.zeros(DType::f32, {experts}); }},
       {"w13_zero_point", [](Fixture& f) { f.checkpoint.w13.zero_point = f.store.zeros(DType::u8, {experts}); }},
       {"w13_input_scale", [](Fixture& f) { f.checkpoint.w13.input_scale = f.store.zeros(DType::f32, {1}); }},
       {"w13_g_idx",
        [](Fixture& f) {
          f.checkpoint.w13.g_idx = f.store.zeros(DType::i32, {experts, hidden});
        }},
       {"w13_bias: found BF16 [8, 767]",
        [](Fixture& f) {
          f.checkpoint.w13.bias = f.store.zeros(DType::bf16, {experts, 767});
        }},
       {"pack_format: found gptq", [](Fixture& f) { f.checkpoint.pack_format = PackFormat::gptq; }}});
  refuses<NvFp4Faithful>(
      Fixture::nvfp4,
      {{"w13_weight_scale_2: found no such tensor", [](Fixture& f) { f.checkpoint.w13.weight_scale_2 = {}; }},
       {"w2_weight_scale_2: found F32 [8, 2], expected F32 [8]",
        [](Fixture& f) { f.checkpoint.w2.weight_scale_2 = f.checkpoint.w13.weight_scale_2; }},
       {"w13_weight_scale: found U8", [](Fixture& f) { f.checkpoint.w13.weight_scale.dtype = DType::u8; }},
       {"w2_input_scale: found no such tensor", [](Fixture& f) { f.checkpoint.w2.input_scale = {}; }},
       {"w13_input_scale: found F32 [3]",
        [](Fixture& f) { f.checkpoint.w13.input_scale = f.store.zeros(DType::f32, {3}); }},
       {"finite and not negative", [](Fixture& f) {
          f.checkpoint.w13.input_scale = f.store.filled<float>(DType::f32, {1}, [](auto) { return -1.0F; });
        }}});
  refuses<IntWna16<4>>(
      Fixture::groups,
      {{"the code 16, expected codes from 0 to 15",
        [](Fixture& f) {
          f.checkpoint.w2.zero_point =
              f.store.filled<std::uint8_t>(DType::u8, {experts, hidden, intermediate / 64},
                                           [](std::int64_t i) { return std::uint8_t(i == 7 ? 16 : 3); });
        }},
       {"groups of 32, 64 or 128 columns",
        [](Fixture& f) {
          f.checkpoint.w2.weight_scale = f.store.zeros(DType::f16, {experts, hidden, intermediate / 32});
          f.checkpoint.w2.zero_point = {};
        }},
       {"the group 4, expected groups from 0 to 3",
        [](Fixture& f) {
          f.checkpoint.w13.g_idx = f.store.filled<std::int32_t>(DType::i32, {experts, hidden},
                                                                [](std::int64_t i) { return i == 9 ? 4 : 0; });
        }},
       {"w13_weight", [](Fixture& f) { f.checkpoint.pack_format = PackFormat::awq; }}});
  refuses<IntWna16<4, 64, Choice::yes>>(Fixture::groups, {{"w13_zero_point: found no such tensor",
                                                           [](Fixture& f) { f.checkpoint.w13.zero_point = {}; }}});
  refuses<IntWna16<4, 64, Choice::no>>(
      Fixture::groups, {{"w13_zero_point: found U8", [](Fixture& f) { f.checkpoint.w2.zero_point = {}; }}});
  refuses<IntWna16<4, 128>>(Fixture::groups, {{"w13_weight_scale", [](Fixture&) {}}});
  refuses<IntWna16<8>>(Fixture::groups,
                       {{"awq packs int4 only", [](Fixture& f) { f.checkpoint.pack_format = PackFormat::awq; }}});
}

TEST(Validate, refuses_a_row_that_its_groups_do_not_divide) {
  TensorStore store;
  MoECheckpoint checkpoint;
  checkpoint.w13 = {.weight = store.zeros(DType::f8_e4m3, {1, 64, 40}),
                    .weight_scale = store.zeros(DType::u8, {1, 64, 2})};
  checkpoint.w2 = {.weight = store.zeros(DType::f8_e4m3, {1, 40, 32}),
                   .weight_scale = store.zeros(DType::u8, {1, 40, 1})};
  EXPECT_EQ(refusal<Mxfp8>(checkpoint),
            "w13_weight: found H = 40, expected a multiple of 32 (columns that share a scale)");
}

TEST(Validate, refuses_rows_that_the_activation_does_not_ask_for) {
  const Fixture f = Fixture::blocks();
  EXPECT_EQ(refusal<Fp8Block128>(f.checkpoint, Activation::gelu_no_mul),
            "w13_weight: found F8_E4M3 [8, 768, 256], expected I rows for the activation gelu_no_mul");
}

TEST(Validate, lets_an_input_scale_be_missing_where_activations_are_not_quantized) {
  Fixture f = Fixture::nvfp4();
  f.checkpoint.w13.input_scale = f.checkpoint.w2.input_scale = {};
  EXPECT_EQ(refusal<NvFp4>(f.checkpoint), "accepted");
  EXPECT_EQ(refusal<NvFp4A16>(f.checkpoint), "accepted");
}

}  // namespace
}  // namespace polymoe::quant
