// Copyright the polymoe authors. Distributed under the Boost Software License, Version 1.0.
#include "examples/support/layer_file.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "examples/support/json_file.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/hostile_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace polymoe::test {
namespace {

using tools::InputError;
using tools::LayerFile;

// T = 3, H = 8, I = 4, E = 4, k = 2; all numbers are zero.
const std::string layer_header =
    R"({"__metadata__":{"polymoe.scheme":"unquantized","polymoe.weight_key":"none","polymoe.top_k":"2","note":"x"},)"
    R"("hidden_states":{"dtype":"F32","shape":[3,8],"data_offsets":[0,96]},)"
    R"("router_logits":{"dtype":"F32","shape":[3,4],"data_offsets":[96,144]},)"
    R"("w13_weight":{"dtype":"F32","shape":[4,8,8],"data_offsets":[144,1168]},)"
    R"("w2_weight":{"dtype":"F32","shape":[4,8,4],"data_offsets":[1168,1680]}})";
const std::string layer_data(1680, '\0');

/// Replaces text in the header of the layer above.
struct Change {
  std::string from;
  std::string to;
  std::string subject;  ///< what the refusal names
};

class LayerFiles : public ::testing::Test {
 protected:
  std::string message_for(const std::string& bytes) {
    path_ = folder_.write("layer.safetensors", bytes);
    return message_of<InputError>([&] { LayerFile::load(path_); });
  }

  std::string subject_for(const std::string& bytes) {
    const std::string message = message_for(bytes);
    return message == "accepted" ? message : subject_of(path_, message);
  }

  std::string subject_for_header(const std::string& header) {
    return subject_for(safetensors_bytes(header, layer_data));
  }

  TemporaryFolder folder_;
  std::string path_;
};

TEST_F(LayerFiles, of_the_public_conformance_set_are_accepted_with_their_sizes) {
  const auto cases = conformance_cases();
  EXPECT_EQ(cases.size(), 95U);
  for (const ConformanceCase& expected : cases) {
    SCOPED_TRACE(expected.name);
    const LayerFile layer = LayerFile::load(expected.path);
    EXPECT_EQ(layer.tokens, expected.tokens);
    EXPECT_EQ(layer.shape.hidden_size, expected.shape.hidden_size);
    EXPECT_EQ(layer.shape.intermediate_size, expected.shape.intermediate_size);
    EXPECT_EQ(layer.shape.num_experts, expected.shape.num_experts);
    EXPECT_EQ(layer.shape.num_local_experts, expected.shape.num_local_experts);
    EXPECT_EQ(layer.shape.top_k, expected.shape.top_k);
    EXPECT_EQ(tolerance_class(layer).name, expected.tolerance_class);
    EXPECT_DOUBLE_EQ(tolerance_class(layer).bound, expected.bound);
    EXPECT_EQ(expected.strict_bound.has_value(), layer.is_faithful());
    EXPECT_TRUE(layer.expected_output.present());
    EXPECT_EQ(layer.router_logits.present(), layer.parameters.routing != RoutingMethod::given);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(layer.checkpoint.w13.weight.data) % 64, 0U);
  }
}

TEST_F(LayerFiles, of_the_malformed_set_are_refused_with_their_subject) {
  const auto index = tools::read_json(malformed_folder + "/index.json");
  EXPECT_EQ(index.at("files").size(), 38U);
  for (const auto& entry : index.at("files")) {
    const std::string path = malformed_folder + "/" + entry.at("file").get<std::string>();
    const std::string message = message_of<InputError>([&] { LayerFile::load(path); });
    EXPECT_EQ(subject_of(path, message), entry.at("subject").get<std::string>()) << message;
  }
}

TEST_F(LayerFiles, that_are_as_the_page_says_are_accepted) {
  EXPECT_EQ(subject_for_header(layer_header), "accepted");
  EXPECT_EQ(subject_for_header(layer_header + "  \n\t "), "accepted") << "white space pads the header";
  EXPECT_EQ(subject_for_header(with(layer_header, "[3,8]", "[ 3 , 8 ]")), "accepted");
  EXPECT_EQ(subject_for_header(with(layer_header, "\"note\"", "\"n\\u00f6te\"")), "accepted");
  EXPECT_EQ(subject_for_header(with(layer_header, "[3,8]", "[3,\\u0038]")), "header");
}

TEST_F(LayerFiles, with_any_header_text_that_is_wrong_are_refused_by_name) {
  const std::string scheme = R"("polymoe.scheme":"unquantized",)";
  const std::string states = R"("hidden_states":{"dtype":"F32","shape":[3,8],"data_offsets":[0,96]},)";
  const std::vector<Change> changes{
      // the JSON text
      {"{\"__meta", "{{\"__meta", "header"},
      {"{\"__meta", " {\"__meta", "header"},
      {"{\"__meta", "\xEF\xBB\xBF{\"__meta", "header"},
      {"{\"__meta", "[\"__meta", "header"},
      {"\"note\":\"x\"", "\"note\":\"\xC0\x80\"", "header"},
      {"\"note\":\"x\"", "\"note\":\"\xED\xA0\x80\"", "header"},
      {"\"note\":\"x\"", "\"note\":\"\\ud800\"", "header"},
      {"\"note\":\"x\"", std::string("\"note\":\"a\0b\"", 12), "header"},
      {"\"note\":\"x\"", "\"note\":\"a\nb\"", "header"},
      {"\"note\":\"x\"", "\"note\":'x'", "header"},
      {"\"note\":\"x\"", "note:\"x\"", "header"},
      {"\"note\":\"x\"", "\"note\":\"x\",", "header"},
      {"\"note\":\"x\"", "\"note\":\"x\" // why", "header"},
      {"[0,96]", "[0,96,]", "header"},
      {"[0,96]", "[0,+96]", "header"},
      {"[0,96]", "[00,96]", "header"},
      {"[0,96]", "[0,0x60]", "header"},
      {"[0,96]", "[0,NaN]", "header"},
      {"[0,96]", "[0,Infinity]", "header"},
      {"[1168,1680]}}", "[1168,1680]}", "header"},
      {"[1168,1680]}}", "[1168,1680]}}}", "header"},
      {"[1168,1680]}}", "[1168,1680]}}{}", "header"},
      {"[1168,1680]}}", "[1168,1680]}},", "header"},
      {"[1168,1680]}}", std::string("[1168,1680]}}\0\0", 15), "header"},
      {"[1168,1680]}}", std::string("[1168,1680]}}\0garbage", 21), "header"},
      {"[3,8]", std::string(100000, '['), "header"},
      {"[3,8]", std::string(100000, '[') + std::string(100000, ']'), "header"},
      // keys that come twice
      {"\"note\":\"x\"", R"("note":"x","note":"x")", "note"},
      {scheme, scheme + scheme, "polymoe.scheme"},
      {states, states + states, "hidden_states"},
      {"\"dtype\":\"F32\",\"shape\":[3,8]", R"("dtype":"F32","dtype":"F32","shape":[3,8])", "dtype"},
      {"\"shape\":[3,8]", R"("shape":[3,8],"sh\u0061pe":[3,8])", "shape"},
      {"\"note\":\"x\"},", "\"note\":\"x\"},\"__metadata__\":{},", "__metadata__"},
      // metadata
      {"\"note\":\"x\"", "\"note\":1", "note"},
      {"\"note\":\"x\"", "\"note\":null", "note"},
      {"\"note\":\"x\"", "\"note\":true", "note"},
      {"\"note\":\"x\"", "\"note\":1.5", "note"},
      {"\"note\":\"x\"", "\"note\":[]", "note"},
      {"\"note\":\"x\"", "\"note\":{\"a\":\"b\"}", "note"},
      {"\"note\"", "\"polymoe.\"", "polymoe."},
      {"\"note\"", "\"polymoe.Scheme\"", "polymoe.Scheme"},
      {"\"note\"", "\"polymoe.top_k \"", "polymoe.top_k "},
      {"\"note\"", "\"polymoe.bad\\nkey\"", "polymoe.bad\\x0akey"},
      {"{\"polymoe.scheme\":\"unquantized\",\"polymoe.weight_key\":\"none\",\"polymoe.top_k\":\"2\",\"note\":\"x\"}",
       "null", "__metadata__"},
      {"{\"polymoe.scheme\":\"unquantized\",\"polymoe.weight_key\":\"none\",\"polymoe.top_k\":\"2\",\"note\":\"x\"}",
       "[]", "__metadata__"},
      {"{\"polymoe.scheme\":\"unquantized\",\"polymoe.weight_key\":\"none\",\"polymoe.top_k\":\"2\",\"note\":\"x\"}",
       "\"x\"", "__metadata__"},
      {"{\"polymoe.scheme\":\"unquantized\",\"polymoe.weight_key\":\"none\",\"polymoe.top_k\":\"2\",\"note\":\"x\"}",
       "{}", "polymoe.scheme"},
      {scheme, "", "polymoe.scheme"},
      {"\"unquantized\"", "\"\"", "polymoe.scheme"},
      {"\"unquantized\"", "\"Unquantized\"", "polymoe.scheme"},
      {"\"unquantized\"", "\"unquantized \"", "polymoe.scheme"},
      {"\"unquantized\"", "\"fp8\"", "polymoe.weight_key"},
      {"\"polymoe.weight_key\":\"none\",", "", "polymoe.weight_key"},
      {"\"none\"", "\"fp8_static_tensor\"", "polymoe.weight_key"},
      {"\"none\"", "\"kFp8StaticTensorSym\"", "polymoe.weight_key"},
      {"\"polymoe.top_k\":\"2\",", "", "polymoe.top_k"},
      {"\"note\":\"x\"", "\"polymoe.activation_key\":\"fp8_dynamic_token\"", "polymoe.activation_key"},
      {"\"note\":\"x\"", "\"polymoe.activation_mode\":\"both\"", "polymoe.activation_mode"},
      {"\"note\":\"x\"", "\"polymoe.activation\":\"relu2\"", "polymoe.activation"},
      {"\"note\":\"x\"", "\"polymoe.activation\":\"runtime\"", "polymoe.activation"},
      {"\"note\":\"x\"", "\"polymoe.w13_layout\":\"runtime\"", "polymoe.w13_layout"},
      {"\"note\":\"x\"", "\"polymoe.routing\":\"custom\"", "polymoe.routing"},
      {"\"note\":\"x\"", "\"polymoe.routing\":\"simulated\"", "polymoe.routing"},
      {"\"note\":\"x\"", "\"polymoe.renormalize\":\"yes\"", "polymoe.renormalize"},
      {"\"note\":\"x\"", "\"polymoe.renormalize\":\"True\"", "polymoe.renormalize"},
      {"\"note\":\"x\"", "\"polymoe.apply_router_weight_on_input\":\"1\"", "polymoe.apply_router_weight_on_input"},
      {"\"note\":\"x\"", "\"polymoe.apply_router_weight_on_input\":\"true\"", "polymoe.top_k"},
      {"\"note\":\"x\"", "\"polymoe.routing\":\"llama4\"", "polymoe.top_k"},
      {"\"note\":\"x\"", "\"polymoe.pack_format\":\"AWQ\"", "polymoe.pack_format"},
      {"\"note\":\"x\"", "\"polymoe.group_size\":\"256\"", "polymoe.group_size"},
      {"\"note\":\"x\"", "\"polymoe.n_group\":\"many\"", "polymoe.n_group"},
      {"\"note\":\"x\"", "\"polymoe.topk_group\":\"0\"", "polymoe.topk_group"},
      {"\"note\":\"x\"", "\"polymoe.routing\":\"deepseek_v3\"", "polymoe.n_group"},
      {"\"note\":\"x\"", R"("polymoe.routing":"deepseek_v3","polymoe.n_group":"3")", "polymoe.n_group"},
      {"\"note\":\"x\"", R"("polymoe.routing":"deepseek_v3","polymoe.n_group":"2")", "polymoe.topk_group"},
      {"\"note\":\"x\"", R"("polymoe.routing":"grouped_softmax","polymoe.n_group":"4","polymoe.topk_group":"1")",
       "polymoe.topk_group"},
      {"\"note\":\"x\"", R"("polymoe.routing":"grouped_softmax","polymoe.n_group":"2","polymoe.topk_group":"3")",
       "polymoe.topk_group"},
      {"\"note\":\"x\"", "\"polymoe.routing\":\"given\"", "topk_ids"},
      // entries
      {states, "", "router_logits"},  // a hole where the data of hidden_states were
      {R"({"dtype":"F32","shape":[3,8],"data_offsets":[0,96]})", "null", "hidden_states"},
      {R"({"dtype":"F32","shape":[3,8],"data_offsets":[0,96]})", "[]", "hidden_states"},
      {R"({"dtype":"F32","shape":[3,8],"data_offsets":[0,96]})", "3", "hidden_states"},
      {R"({"dtype":"F32","shape":[3,8],"data_offsets":[0,96]})", "\"F32\"", "hidden_states"},
      {R"({"dtype":"F32","shape":[3,8],"data_offsets":[0,96]})", "{}", "hidden_states"},
      {"\"data_offsets\":[0,96]", "\"offsets\":[0,96]", "hidden_states"},
      {"\"data_offsets\":[0,96]", "\"data_offsets\":[0,96],\"stride\":1", "hidden_states"},
      {"\"dtype\":\"F32\",\"shape\":[3,8]", "\"dtype\":null,\"shape\":[3,8]", "hidden_states"},
      {"\"dtype\":\"F32\",\"shape\":[3,8]", "\"dtype\":[\"F32\"],\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"\",\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"f32\",\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"runtime\",\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"F64\",\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"F64\",\"shape\":[3,4]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"I32\",\"shape\":[3,8]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"F8_E8M0\",\"shape\":[3,32]", "hidden_states"},
      {"\"F32\",\"shape\":[3,8]", "\"BOOL\",\"shape\":[3,32]", "hidden_states"},
      {"[3,8]", "null", "hidden_states"},
      {"[3,8]", "24", "hidden_states"},
      {"[3,8]", "\"3,8\"", "hidden_states"},
      {"[3,8]", "{\"0\":3}", "hidden_states"},
      {"[3,8]", "[3,[8]]", "hidden_states"},
      {"[3,8]", "[3,{}]", "hidden_states"},
      {"[3,8]", "[3,8.0]", "hidden_states"},
      {"[3,8]", "[3,8e0]", "hidden_states"},
      {"[3,8]", "[3,\"8\"]", "hidden_states"},
      {"[3,8]", "[3,null]", "hidden_states"},
      {"[3,8]", "[3,true]", "hidden_states"},
      {"[3,8]", "[-3,-8]", "hidden_states"},
      {"[3,8]", "[]", "hidden_states"},
      {"[3,8]", "[24]", "hidden_states"},
      {"[3,8]", "[1,3,8]", "hidden_states"},
      {"[3,8]", "[1,1,1,3,8]", "hidden_states"},
      {"[3,8]", "[3,9]", "hidden_states"},
      {"[3,8]", "[8,3]", "w13_weight"},  // a plausible T = 8 and H = 3: the weights decide
      {"[3,8]", "[3,9223372036854775808]", "hidden_states"},
      {"[3,8]", "[3,18446744073709551616]", "hidden_states"},
      {"[3,8]", "[3,1e400]", "hidden_states"},
      {"[3,8]", "[9223372036854775807,2]", "hidden_states"},
      {"[3,8]", "[4611686018427387904,4611686018427387904]", "hidden_states"},
      {"[3,8]", "[4294967296,4294967296]", "hidden_states"},
      {"[3,8]", "[2305843009213693952,2]", "hidden_states"},
      {"[3,8]", "[0,8]", "hidden_states"},
      {"[0,96]", "[96,0]", "hidden_states"},
      {"[0,96]", "[0]", "hidden_states"},
      {"[0,96]", "[]", "hidden_states"},
      {"[0,96]", "[0,96,96]", "hidden_states"},
      {"[0,96]", "[-96,0]", "hidden_states"},
      {"[0,96]", "[0,96.0]", "hidden_states"},
      {"[0,96]", "[0,9223372036854775807]", "hidden_states"},
      {"[0,96]", "[9223372036854775712,9223372036854775807]", "hidden_states"},
      {"[0,96]", "[18446744073709551520,18446744073709551615]", "hidden_states"},
      {"[0,96]", "[1,97]", "hidden_states"},
      {"[0,96]", "[96,192]", "router_logits"},
      {"[0,96]", "[1584,1680]", "router_logits"},
      {"[1168,1680]", "[1168,1684]", "w2_weight"},
      {"[4,8,4]", "[4,8,3]", "w2_weight"},
      {"\"hidden_states\"", "\"\"", ""},
      {"\"hidden_states\"", "\"Hidden_states\"", "Hidden_states"},
      {"\"router_logits\"", "\"w13_weight_scale_3\"", "w13_weight_scale_3"},
      {"\"router_logits\"", "\"topk_ids\"", "router_logits"},
      {"\"w2_weight\"", "\"output\"", "output"},
      {"\"w2_weight\"", "\"w2_weight\\n\"", "w2_weight\\x0a"},
      {"\"w2_weight\"", "\"w2\xE2\x80\xA8weight\"", "w2\\xe2\\x80\\xa8weight"},
      // shapes that hold together badly
      {"[4,8,8]", "[4,16,4]", "w13_weight"},
      {"[4,8,8]", "[8,4,8]", "w13_weight"},
      {"[4,8,8]", "[32,8]", "w13_weight"},
      {"[4,8,8]", "[1,4,8,8]", "w13_weight"},
      {"[4,8,4]", "[4,4,8]", "w13_weight"},
      {"[3,4],", "[4,3],", "router_logits"},
      {"[3,4],", "[12],", "router_logits"},
  };
  for (const Change& change : changes) {
    const std::string header = with(layer_header, change.from, change.to);
    EXPECT_EQ(subject_for_header(header), change.subject) << change.from << " -> " << change.to.substr(0, 200);
  }
  EXPECT_GT(changes.size(), 140U);
}

TEST_F(LayerFiles, take_integers_only_as_digits) {
  const auto with_top_k = [](const std::string& value) { return with(layer_header, "\"2\"", "\"" + value + "\""); };
  for (const char* good : {"1", "2", "4", "002"}) EXPECT_EQ(subject_for_header(with_top_k(good)), "accepted") << good;
  for (const char* bad : {"",
                          " ",
                          "two",
                          "1e0",
                          "+2",
                          " 2",
                          "2 ",
                          "2\\n",
                          "\\t2",
                          "2.0",
                          "0x2",
                          "0",
                          "-0",
                          "-1",
                          "5",
                          "1_0",
                          "999999999999999999",
                          "9999999999999999999999",
                          "18446744073709551618",
                          "nan",
                          "inf",
                          "\\u0662",
                          "2\\u0000",
                          "-",
                          "--2",
                          "1,000"}) {
    EXPECT_EQ(subject_for_header(with_top_k(bad)), "polymoe.top_k") << bad;
  }
}

TEST_F(LayerFiles, take_finite_decimal_numbers_only) {
  for (const std::string key : {"routed_scaling_factor", "swiglu_alpha", "swiglu_limit"}) {
    const auto with_number = [&](const std::string& value) {
      return with(layer_header, "\"note\":\"x\"", "\"polymoe." + key + "\":\"" + value + "\"");
    };
    for (const char* good :
         {"1", "+1", "-1.5", "0", "-0", "1.", ".5", "1e3", "1E-3", "2.5e+2", "1e-400", "1e300", "007"}) {
      EXPECT_EQ(subject_for_header(with_number(good)), "accepted") << good;
    }
    for (const char* bad :
         {"",     ".",  "e5", "1e",  "1e+", "nan", "NaN",   "inf", "-inf",  "Infinity", "1e400",    "-1e999", "0x1p3",
          "0x10", " 1", "1 ", "1,5", "--1", "+-1", "1_000", "1f",  "1.5.2", "1e5.5",    "1\\u0000", "one"}) {
      EXPECT_EQ(subject_for_header(with_number(bad)), "polymoe." + key) << bad;
    }
  }
}

TEST_F(LayerFiles, hold_the_numbers_of_their_metadata) {
  const std::string header = with(layer_header, "\"note\":\"x\"",
                                  R"("polymoe.swiglu_alpha":"1.25","polymoe.swiglu_limit":"+3e0",)"
                                  R"("polymoe.activation":"swigluoai","polymoe.w13_layout":"interleaved",)"
                                  R"("polymoe.routing":"grouped_softmax","polymoe.renormalize":"true",)"
                                  R"("polymoe.n_group":"2","polymoe.topk_group":"1",)"
                                  R"("polymoe.routed_scaling_factor":"1e300","polymoe.activation_mode":"faithful")");
  const LayerFile layer = LayerFile::load(folder_.write("layer.safetensors", safetensors_bytes(header, layer_data)));
  EXPECT_EQ(layer.activation, Activation::swigluoai);
  EXPECT_EQ(layer.activation_parameters, (ActivationParameters{1.25F, 3.0F, true}));
  EXPECT_EQ(layer.checkpoint.w13_layout, W13Layout::interleaved);
  EXPECT_EQ(layer.parameters.routing, RoutingMethod::grouped_softmax);
  EXPECT_EQ(layer.parameters.routing_parameters, (RoutingParameters{2, 1, __builtin_inff(), true}));
  EXPECT_FALSE(layer.is_faithful()) << "the mode has no effect without an activation key";
  EXPECT_EQ(layer.keys, QuantKeys{});
}

TEST_F(LayerFiles, without_tokens_are_accepted) {
  std::string header = with(with(layer_header, "[3,8]", "[0,8]"), "[0,96]", "[0,0]");
  header = with(with(header, "[3,4]", "[0,4]"), "[96,144]", "[0,0]");
  header = with(with(header, "[144,1168]", "[0,1024]"), "[1168,1680]", "[1024,1536]");
  EXPECT_EQ(subject_for(safetensors_bytes(header, layer_data.substr(0, 1536))), "accepted");
}

TEST_F(LayerFiles, are_refused_however_short_they_are_cut) {
  const std::string whole = safetensors_bytes(layer_header, layer_data);
  for (std::size_t length = 0; length < whole.size(); length += length < 9 + layer_header.size() ? 1 : 37) {
    const std::string subject = subject_for(whole.substr(0, length));
    ASSERT_NE(subject, "accepted") << length;
    ASSERT_EQ(subject.find("no f"), std::string::npos) << subject;
  }
  EXPECT_EQ(subject_for(whole + '\0'), "data");
}

TEST_F(LayerFiles, with_any_bit_of_the_header_flipped_are_refused_or_read) {
  const std::string whole = safetensors_bytes(layer_header, layer_data);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * (8 + layer_header.size()); ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const std::string message = message_for(bytes);
    refused += message == "accepted" ? 0 : 1;
    if (message != "accepted") {
      ASSERT_EQ(subject_of(path_, message).find("no f"), std::string::npos) << message;
    }
  }
  EXPECT_GT(refused, static_cast<int>(7 * layer_header.size()));
}

TEST_F(LayerFiles, with_ids_out_of_range_are_refused) {
  std::string header = with(layer_header, "\"note\":\"x\"", "\"polymoe.routing\":\"given\"");
  header = with(header, R"("router_logits":{"dtype":"F32","shape":[3,4],"data_offsets":[96,144]})",
                R"("topk_ids":{"dtype":"I32","shape":[3,2],"data_offsets":[96,120]},)"
                R"("topk_weights":{"dtype":"F32","shape":[3,2],"data_offsets":[120,144]})");
  for (const std::int32_t id : {-1, 0, 3, -2, 4, INT32_MIN, INT32_MAX}) {
    for (const std::size_t slot : {0U, 5U}) {
      std::string data = layer_data;
      std::memcpy(data.data() + 96 + 4 * slot, &id, 4);
      EXPECT_EQ(subject_for(safetensors_bytes(header, data)), id >= -1 && id < 4 ? "accepted" : "topk_ids") << id;
    }
  }
}

/// The tensors of a scheme's layer with H = 64, I = 32, E = 2, T = 1, k = 1, to take away from and to bend.
struct SchemeCase {
  std::string scheme, weight_key, activation_key;
  std::vector<std::pair<std::string, std::string>> keys;  ///< further metadata
  std::vector<std::tuple<std::string, std::string, std::vector<std::int64_t>>> tensors;
};

class SchemeFiles : public LayerFiles, public ::testing::WithParamInterface<SchemeCase> {
 protected:
  using Tensors = decltype(SchemeCase::tensors);

  Tensors tensors() const {
    Tensors all = GetParam().tensors;
    all.push_back({"hidden_states", "BF16", {1, 64}});
    all.push_back({"router_logits", "F32", {1, 2}});
    return all;
  }

  std::string bytes_of(const Tensors& tensors) const {
    std::string header = R"({"__metadata__":{"polymoe.top_k":"1","polymoe.scheme":")" + GetParam().scheme +
                         R"(","polymoe.weight_key":")" + GetParam().weight_key + R"(","polymoe.activation_key":")" +
                         GetParam().activation_key + R"(","polymoe.activation_mode":"faithful")";
    for (const auto& [key, value] : GetParam().keys) header += ",\"polymoe." + key + "\":\"" + value + "\"";
    header += "}";
    std::int64_t at = 0;
    for (const auto& [name, type, shape] : tensors) {
      std::int64_t bytes = type == "F32" || type == "I32" ? 4 : type == "BF16" ? 2 : 1;
      for (const std::int64_t extent : shape) bytes *= extent;
      std::string extents = tools::shape_text(shape);
      header += ",\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + extents + ",\"data_offsets\":[" +
                std::to_string(at) + "," + std::to_string(at + bytes) + "]}";
      at += bytes;
    }
    return safetensors_bytes(header + "}", std::string(static_cast<std::size_t>(at), '\0'));
  }
};

TEST_P(SchemeFiles, need_every_tensor_in_its_shape_and_type) {
  EXPECT_EQ(message_for(bytes_of(tensors())), "accepted");
  for (std::size_t i = 0; i < tensors().size(); ++i) {
    const std::string name = std::get<0>(tensors()[i]);
    Tensors without = tensors();
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(subject_for(bytes_of(without)), name) << "without " << name;

    Tensors retyped = tensors();
    std::get<1>(retyped[i]) = std::get<1>(retyped[i]) == "U8" ? "I8" : "U8";
    EXPECT_EQ(subject_for(bytes_of(retyped)), name) << name << " of another type";

    for (std::size_t d = 0; d < std::get<2>(tensors()[i]).size(); ++d) {
      // An input scale may have one element or one for each expert, so it is bent by two.
      const bool is_input_scale = name.ends_with("_input_scale");
      for (const std::int64_t change : {is_input_scale ? 2 : -1, is_input_scale ? 3 : 1}) {
        Tensors bent = tensors();
        std::get<2>(bent[i])[d] += change;
        EXPECT_NE(subject_for(bytes_of(bent)), "accepted") << name << " with another extent " << d;
      }
    }
    Tensors deeper = tensors();
    std::get<2>(deeper[i]).push_back(1);
    EXPECT_EQ(subject_for(bytes_of(deeper)), name) << name << " with one dimension more";
  }
}

INSTANTIATE_TEST_SUITE_P(all, SchemeFiles,
                         ::testing::Values(SchemeCase{"unquantized",
                                                      "none",
                                                      "none",
                                                      {},
                                                      {{"w13_weight", "BF16", {2, 64, 64}},
                                                       {"w2_weight", "BF16", {2, 64, 32}}}},
                                           SchemeCase{"fp8",
                                                      "fp8_static_tensor",
                                                      "fp8_static_tensor",
                                                      {},
                                                      {{"w13_weight", "F8_E4M3", {2, 64, 64}},
                                                       {"w2_weight", "F8_E4M3", {2, 64, 32}},
                                                       {"w13_weight_scale", "F32", {2}},
                                                       {"w2_weight_scale", "F32", {2}},
                                                       {"w13_input_scale", "F32", {2}},
                                                       {"w2_input_scale", "F32", {2}}}},
                                           SchemeCase{"fp8",
                                                      "fp8_static_channel",
                                                      "fp8_dynamic_token",
                                                      {},
                                                      {{"w13_weight", "F8_E4M3", {2, 64, 64}},
                                                       {"w2_weight", "F8_E4M3", {2, 64, 32}},
                                                       {"w13_weight_scale", "F32", {2, 64}},
                                                       {"w2_weight_scale", "F32", {2, 64}}}},
                                           SchemeCase{"fp8",
                                                      "fp8_static_block128",
                                                      "fp8_dynamic_group128",
                                                      {},
                                                      {{"w13_weight", "F8_E4M3", {2, 64, 64}},
                                                       {"w2_weight", "F8_E4M3", {2, 64, 32}},
                                                       {"w13_weight_scale", "F32", {2, 1, 1}},
                                                       {"w2_weight_scale", "F32", {2, 1, 1}}}},
                                           SchemeCase{"mxfp8",
                                                      "mxfp8_static",
                                                      "mxfp8_dynamic",
                                                      {},
                                                      {{"w13_weight", "F8_E4M3", {2, 64, 64}},
                                                       {"w2_weight", "F8_E4M3", {2, 64, 32}},
                                                       {"w13_weight_scale", "U8", {2, 64, 2}},
                                                       {"w2_weight_scale", "U8", {2, 64, 1}}}},
                                           SchemeCase{"mxfp4",
                                                      "mxfp4_static",
                                                      "mxfp4_dynamic",
                                                      {},
                                                      {{"w13_weight", "U8", {2, 64, 32}},
                                                       {"w2_weight", "U8", {2, 64, 16}},
                                                       {"w13_weight_scale", "U8", {2, 64, 2}},
                                                       {"w2_weight_scale", "U8", {2, 64, 1}}}},
                                           SchemeCase{"nvfp4",
                                                      "nvfp4_static",
                                                      "nvfp4_dynamic",
                                                      {},
                                                      {{"w13_weight", "U8", {2, 64, 32}},
                                                       {"w2_weight", "U8", {2, 64, 16}},
                                                       {"w13_weight_scale", "F8_E4M3", {2, 64, 4}},
                                                       {"w2_weight_scale", "F8_E4M3", {2, 64, 2}},
                                                       {"w13_weight_scale_2", "F32", {2, 2}},
                                                       {"w2_weight_scale_2", "F32", {2}},
                                                       {"w13_input_scale", "F32", {1}},
                                                       {"w2_input_scale", "F32", {2}}}},
                                           SchemeCase{"int8",
                                                      "int8_static_channel",
                                                      "int8_dynamic_token",
                                                      {},
                                                      {{"w13_weight", "I8", {2, 64, 64}},
                                                       {"w2_weight", "I8", {2, 64, 32}},
                                                       {"w13_weight_scale", "F32", {2, 64}},
                                                       {"w2_weight_scale", "F32", {2, 64}}}},
                                           SchemeCase{"int_wna16",
                                                      "int4_static_group",
                                                      "none",
                                                      {{"group_size", "32"}},
                                                      {{"w13_weight", "I32", {2, 64, 8}},
                                                       {"w2_weight", "I32", {2, 64, 4}},
                                                       {"w13_weight_scale", "BF16", {2, 64, 2}},
                                                       {"w2_weight_scale", "BF16", {2, 64, 1}},
                                                       {"w13_zero_point", "U8", {2, 64, 2}},
                                                       {"w2_zero_point", "U8", {2, 64, 1}}}},
                                           SchemeCase{"int_wna16",
                                                      "int8_static_group",
                                                      "none",
                                                      {{"group_size", "-1"}, {"pack_format", "gptq"}},
                                                      {{"w13_weight", "I32", {2, 16, 64}},
                                                       {"w2_weight", "I32", {2, 8, 64}},
                                                       {"w13_weight_scale", "F32", {2, 1, 64}},
                                                       {"w2_weight_scale", "F32", {2, 1, 64}}}},
                                           SchemeCase{"int_wna16",
                                                      "int4_static_group",
                                                      "none",
                                                      {{"group_size", "32"}, {"pack_format", "awq"}},
                                                      {{"w13_weight", "I32", {2, 64, 8}},
                                                       {"w2_weight", "I32", {2, 32, 8}},
                                                       {"w13_weight_scale", "BF16", {2, 2, 64}},
                                                       {"w2_weight_scale", "BF16", {2, 1, 64}}}}),
                         [](const auto& param_info) {
                           std::string name = param_info.param.weight_key;
                           for (const auto& [key, value] : param_info.param.keys) {
                             if (key == "pack_format") name += "_" + value;
                           }
                           return name;
                         });

TEST_F(LayerFiles, keep_int4_zero_points_below_16) {
  SCOPED_TRACE("the last zero point of a public case");
  for (const ConformanceCase& found : conformance_cases("int_wna16")) {
    const LayerFile layer = LayerFile::load(found.path);
    const TensorView& zeros = layer.checkpoint.w2.zero_point;
    if (!zeros.present() || layer.keys.weight != quant_key::int4_static_group) continue;
    const tools::StoredTensor* const stored = layer.file.find("w2_zero_point");
    std::string bytes = file_content(found.path);
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    bytes[8 + header + static_cast<std::size_t>(stored->end) - 1] = 16;
    EXPECT_EQ(subject_for(bytes), "w2_zero_point");
    return;
  }
  FAIL() << "no case with zero points";
}

TEST_F(LayerFiles, are_regular_files) {
  const auto message = [](const std::string& path) { return message_of<InputError>([&] { LayerFile::load(path); }); };
  EXPECT_EQ(subject_of(folder_ / "nothing", message(folder_ / "nothing")), "file");
  EXPECT_EQ(subject_of(folder_.path(), message(folder_.path())), "file");
  EXPECT_EQ(subject_of("/dev/zero", message("/dev/zero")), "file");
  EXPECT_EQ(subject_of("", message("")), "file");
}

}  // namespace
}  // namespace polymoe::test
