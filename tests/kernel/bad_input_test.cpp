// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
//
// Whatever does not fit is refused by name, before any work.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernel/kernel_case.hpp"

namespace polymoe::test {
namespace {

using Modular = SelectKernel<modular_config, quant::Unquantized>;
using Monolithic = SelectKernel<monolithic_config, quant::Unquantized>;

constexpr std::int64_t tokens = 5, hidden = 37, intermediate = 52, experts = 4, top_k = 3;
constexpr std::int64_t far = std::numeric_limits<std::int64_t>::max();
constexpr LayerOptions options{tokens, hidden, intermediate, experts, top_k};

/// f() raises polymoe::Error whose message begins with the argument and a colon.
template <class F>
void expect_refusal(const std::string& argument, F&& f) {
  try {
    f();
    ADD_FAILURE() << "accepted a wrong " << argument;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.substr(0, argument.size() + 1), argument + ":") << message;
    EXPECT_NE(message.find("expected"), std::string::npos) << message;
  }
}

/// The arguments of one call, of which a test spoils one.
struct Call {
  MutableTokensView out{};
  TokensView hidden_states{};
  MatrixView<const float> topk_weights{};
  MatrixView<const std::int32_t> topk_ids{};
  TokensView router_logits{};
  MatrixView<float> chosen_weights{};
  MatrixView<std::int32_t> chosen_ids{};
  WorkspaceView workspace{};
};

template <class Kernel>
class BadInput : public ::testing::Test {
 protected:
  BadInput() : workspace_(case_.kernel.workspace_size(tokens)) {
    const std::size_t elements = static_cast<std::size_t>(tokens * hidden);
    out_.assign(elements, poison);
    logits_.assign(static_cast<std::size_t>(tokens * experts), 0.5F);
    chosen_weights_.assign(static_cast<std::size_t>(tokens * top_k), poison);
    chosen_ids_.assign(static_cast<std::size_t>(tokens * top_k), -7);
  }

  Call good() {
    return {.out = MatrixView<float>(out_.data(), tokens, hidden),
            .hidden_states = case_.made.x.tokens(),
            .topk_weights = case_.topk_weights(),
            .topk_ids = case_.topk_ids(),
            .router_logits = MatrixView<const float>(logits_.data(), tokens, experts),
            .chosen_weights = {chosen_weights_.data(), tokens, top_k},
            .chosen_ids = {chosen_ids_.data(), tokens, top_k},
            .workspace = workspace_};
  }

  void apply(const Call& call) {
    if constexpr (Kernel::candidate::is_monolithic) {
      case_.kernel.apply(call.out, call.hidden_states, call.router_logits, call.chosen_weights, call.chosen_ids,
                         call.workspace);
    } else {
      case_.kernel.apply(call.out, call.hidden_states, call.topk_weights, call.topk_ids, call.workspace);
    }
  }

  /// The call that `spoil` changed is refused, and has written nothing.
  template <class Spoil>
  void refuses(const std::string& argument, Spoil&& spoil) {
    Call call = good();
    spoil(call);
    expect_refusal(argument, [&] { apply(call); });
    const auto untouched = [](float value) { return value == poison; };
    EXPECT_TRUE(std::all_of(out_.begin(), out_.end(), untouched)) << argument;
    EXPECT_TRUE(std::all_of(chosen_weights_.begin(), chosen_weights_.end(), untouched)) << argument;
    EXPECT_EQ(std::count(chosen_ids_.begin(), chosen_ids_.end(), -7), tokens * top_k) << argument;
  }

  /// A view as Call's member, with each of its members spoilt in turn.
  template <class View>
  void refuses_spoilt(const std::string& argument, View Call::*view) {
    refuses(argument, [&](Call& call) { (call.*view).data = nullptr; });
    refuses(argument, [&](Call& call) { ++(call.*view).columns, ++(call.*view).stride; });
    refuses(argument, [&](Call& call) { --(call.*view).columns; });
    refuses(argument, [&](Call& call) { (call.*view).columns = -1; });
    refuses(argument, [&](Call& call) { --(call.*view).stride; });
    for (const std::int64_t stride :
         {std::int64_t{0}, std::int64_t{-1}, -(call_stride(view)), far, far / 2, far / 2 / tokens + 1}) {
      refuses(argument, [&](Call& call) { (call.*view).stride = stride; });
    }
  }

  template <class View>
  std::int64_t call_stride(View Call::*view) {
    return (good().*view).stride;
  }

  /// The number of rows is hidden_states'; another one is refused.
  template <class View>
  void refuses_other_rows(const std::string& argument, View Call::*view) {
    for (const std::int64_t rows : {tokens - 1, tokens + 1, std::int64_t{0}, std::int64_t{-1}, far}) {
      refuses(argument, [&](Call& call) { (call.*view).rows = rows; });
    }
  }

  static constexpr float poison = -12345.5F;
  KernelCase<Kernel> case_{options};
  Workspace workspace_;
  std::vector<float> out_, logits_, chosen_weights_;
  std::vector<std::int32_t> chosen_ids_;
};

using ModularInput = BadInput<Modular>;
using MonolithicInput = BadInput<Monolithic>;

TEST_F(ModularInput, IsTakenWhereItFits) {
  EXPECT_NO_THROW(apply(good()));
  EXPECT_EQ(std::count(out_.begin(), out_.end(), poison), 0);
}

TEST_F(ModularInput, HasViewsOfTheLayersExtents) {
  refuses_spoilt("hidden_states", &Call::hidden_states);
  refuses_spoilt("out", &Call::out);
  refuses_spoilt("topk_weights", &Call::topk_weights);
  refuses_spoilt("topk_ids", &Call::topk_ids);
  refuses_other_rows("out", &Call::out);
  refuses_other_rows("topk_weights", &Call::topk_weights);
  refuses_other_rows("topk_ids", &Call::topk_ids);
  refuses("hidden_states", [](Call& call) { call.hidden_states.rows = -1; });
  refuses("hidden_states", [](Call& call) { call.hidden_states.rows = std::numeric_limits<std::int64_t>::min(); });
  refuses("hidden_states", [](Call& call) { call.hidden_states.rows = far; });
}

TEST_F(ModularInput, HasTypesThatTheLayerKnows) {
  for (const DType wrong : {DType::f32, DType::f16, DType::i32, DType::u8, DType::f8_e4m3}) {
    refuses("hidden_states", [&](Call& call) { call.hidden_states.dtype = wrong; });
  }
  for (const DType wrong : {DType::i32, DType::u8, DType::f8_e4m3, DType::runtime}) {
    refuses("out", [&](Call& call) { call.out.dtype = wrong; });
  }
}

TEST_F(ModularInput, HasIdsOfExpertsOrMinusOne) {
  constexpr std::int32_t least = std::numeric_limits<std::int32_t>::min();
  constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
  for (const std::int32_t wrong : {std::int32_t{experts}, -2, least, most}) {
    for (const std::size_t where : {std::size_t{0}, case_.made.ids.size() / 2, case_.made.ids.size() - 1}) {
      std::vector<std::int32_t> ids = case_.made.ids;
      ids[where] = wrong;
      refuses("topk_ids", [&](Call& call) { call.topk_ids.data = ids.data(); });
    }
  }
  const std::vector<std::int32_t> none(case_.made.ids.size(), -1);
  Call call = good();
  call.topk_ids.data = none.data();
  apply(call);
  EXPECT_EQ(std::count(out_.begin(), out_.end(), 0.0F), tokens * hidden);
}

TEST_F(ModularInput, HasEnoughAlignedWorkspace) {
  refuses("workspace", [](Call& call) { --call.workspace.bytes; });
  refuses("workspace", [](Call& call) { call.workspace.bytes = 0; });
  refuses("workspace", [](Call& call) { call.workspace.memory = nullptr; });
  refuses("workspace", [](Call& call) { call.workspace = {}; });
  const Workspace larger(case_.kernel.workspace_size(tokens) + 64);
  for (const std::size_t offset : {1, 4, 16, 32}) {
    refuses("workspace", [&](Call& call) { call.workspace = {larger.data() + offset, larger.size() - offset}; });
  }
}

TEST_F(ModularInput, MayBeNoTokensAtAll) {
  Call call;
  call.out = MutableTokensView(nullptr, DType::f32, 0, hidden, hidden);
  call.hidden_states = TokensView(nullptr, DType::bf16, 0, hidden, hidden);
  call.topk_weights = {nullptr, 0, top_k};
  call.topk_ids = {nullptr, 0, top_k};
  EXPECT_NO_THROW(apply(call));
}

TEST_F(MonolithicInput, HasViewsOfTheLayersExtents) {
  refuses_spoilt("hidden_states", &Call::hidden_states);
  refuses_spoilt("out", &Call::out);
  refuses_spoilt("router_logits", &Call::router_logits);
  refuses_spoilt("chosen_weights", &Call::chosen_weights);
  refuses_spoilt("chosen_ids", &Call::chosen_ids);
  refuses_other_rows("out", &Call::out);
  refuses_other_rows("router_logits", &Call::router_logits);
  refuses_other_rows("chosen_weights", &Call::chosen_weights);
  refuses_other_rows("chosen_ids", &Call::chosen_ids);
  refuses("router_logits", [](Call& call) { call.router_logits.dtype = DType::i32; });
  refuses("workspace", [](Call& call) { --call.workspace.bytes; });
  EXPECT_NO_THROW(apply(good()));
}

class BadLayer : public ::testing::Test {
 protected:
  KernelCase<Modular> case_{options};
  LayerParameters parameters_ = parameters_of(case_.made);

  void refuses_parameters(const std::string& argument, const LayerParameters& parameters) {
    expect_refusal(argument, [&] { const Modular kernel(case_.weights, QuantConfig{}, parameters); });
  }
  void refuses_weights(const std::string& argument, PackedWeightsView weights) {
    expect_refusal(argument, [&] { const Modular kernel(weights, QuantConfig{}, parameters_); });
  }
};

TEST_F(BadLayer, ChoosesFromOneToAllExperts) {
  for (const std::int64_t wrong : {std::int64_t{0}, std::int64_t{-1}, experts + 1, far}) {
    LayerParameters parameters = parameters_;
    parameters.top_k = wrong;
    refuses_parameters("top_k", parameters);
  }
}

TEST_F(BadLayer, MapsEachExpertToOneThatIsHere) {
  const auto refuses_map = [&](std::vector<std::int32_t> map) {
    LayerParameters parameters = parameters_;
    parameters.expert_map = map;
    refuses_parameters("expert_map", parameters);
  };
  refuses_map({0, 1, 2});
  refuses_map({0, 1, 2, 3, -1});
  refuses_map({0, 1, 2, 4});
  refuses_map({0, 1, 2, -2});
  refuses_map({0, 1, 2, std::numeric_limits<std::int32_t>::min()});
  refuses_map({0, 1, 2, std::numeric_limits<std::int32_t>::max()});
  LayerParameters more = parameters_;
  more.num_experts = experts + 1;
  refuses_parameters("expert_map", more);
}

TEST_F(BadLayer, HasABiasForEachExpert) {
  const std::vector<float> bias(experts + 1);
  LayerParameters parameters = parameters_;
  parameters.e_score_correction_bias = bias;
  refuses_parameters("e_score_correction_bias", parameters);
}

TEST_F(BadLayer, HasWeightsOfItsFormatAndScheme) {
  refuses_weights("weights", PackedWeightsView{});
  const std::size_t size = case_.weights.view().size();
  const Workspace copy(size + 64);
  const auto refuses_header = [&](const std::string& argument, auto&& spoil) {
    std::memcpy(copy.data(), case_.weights.view().data(), size);
    PackedWeightsHeader header = case_.weights.view().header();
    spoil(header);
    std::memcpy(copy.data(), &header, sizeof header);
    refuses_weights(argument, PackedWeightsView(copy.data()));
  };
  refuses_header("weights", [](PackedWeightsHeader& header) { header.magic[0] = 'P'; });
  refuses_header("weights", [](PackedWeightsHeader& header) { ++header.version; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.format.fill('x'); });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.scheme.fill('x'); });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.hidden_size = 1 << 20; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.intermediate_size = 1 << 20; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.hidden_size = 0; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.intermediate_size = -1; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.num_experts = -1; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.num_shared_experts = -1; });
  refuses_header("weights", [](PackedWeightsHeader& header) { header.expert_bytes -= 64; });
  refuses_header("num_shared_experts", [](PackedWeightsHeader& header) { header.num_shared_experts = 1; });
  std::memcpy(copy.data() + 1, case_.weights.view().data(), size);
  refuses_weights("weights", PackedWeightsView(copy.data() + 1));
}

TEST_F(BadLayer, HasTheConfigsSizes) {
  constexpr FusedMoEConfig config{.hidden_size = 64, .intermediate_size = 48};
  using Other = PinKernel<config, quant::Unquantized, backend::Reference>;
  expect_refusal("hidden_size", [&] { static_cast<void>(Other::convert_to_kernel_format(case_.local())); });
  RandomLayer made;
  make_layer(made, {tokens, 64, intermediate, experts, top_k}, 1);
  expect_refusal("intermediate_size", [&] { static_cast<void>(Other::convert_to_kernel_format(made.checkpoint)); });
  expect_refusal("weights", [&] { const Other kernel(case_.weights, QuantConfig{}, parameters_); });
}

TEST_F(BadLayer, HasTensorsOfTheScheme) {
  const auto refuses_tensors = [&](const std::string& argument, auto&& spoil) {
    MoECheckpoint checkpoint = case_.local();
    spoil(checkpoint);
    expect_refusal(argument, [&] { static_cast<void>(Modular::convert_to_kernel_format(checkpoint)); });
  };
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w13.weight = {}; });
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w13.weight.rank = 2; });
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w13.weight.dtype = DType::i8; });
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w13.weight.shape[1] = intermediate; });
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w13.weight.shape[2] = -hidden; });
  refuses_tensors("w2_weight", [](MoECheckpoint& c) { c.w2.weight = {}; });
  refuses_tensors("w13_weight", [](MoECheckpoint& c) { c.w2.weight.shape[0] = experts + 1; });
  refuses_tensors("w13_weight_scale", [](MoECheckpoint& c) { c.w13.weight_scale = c.w13.weight; });
  refuses_tensors("w13_layout", [](MoECheckpoint& c) { c.w13_layout = W13Layout::runtime; });
  MoECheckpoint shared = slice(case_.local(), 0, 1);
  expect_refusal("num_shared_experts", [&] {
    static_cast<void>(Modular::convert_to_kernel_format(case_.local(), SerialExecutor{}, shared));
  });
}

}  // namespace
}  // namespace polymoe::test
