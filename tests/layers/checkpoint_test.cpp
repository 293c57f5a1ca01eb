#include "layers/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/optim/sgd.h"
#include "core/error.h"
#include "models/registry.h"
#include "tests/layers/support.h"
#include "tests/layers/tiny_net.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::contents;
using test::convert;
using test::convert_all;
using test::kInfo;
using test::make_net;
using test::outputs;
using test::TemporaryFolder;
using test::train_steps;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string load_error(const std::string& path, Module& net) {
  try {
    load_model(SafetensorsFile(path), net);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

class CheckpointTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
};

// ---- Models

class EveryFormatTest : public ::testing::TestWithParam<std::optional<ShiftFormat>> {};

std::vector<std::optional<ShiftFormat>> every_format() {
  std::vector<std::optional<ShiftFormat>> formats = {std::nullopt};
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    for (int bits = kMinWeightBits; bits <= kMaxWeightBits; ++bits)
      formats.push_back(ShiftFormat{method, bits});
  }
  formats.push_back(ShiftFormat{.method = ShiftMethod::kQ, .bits = 3, .offset = -2});
  formats.push_back(ShiftFormat{.method = ShiftMethod::kPs, .bits = 3, .offset = 1});
  for (int bits = kMinWeightBits; bits <= kMaxPackedBits; ++bits) {
    formats.push_back(ShiftFormat{.method = ShiftMethod::kQ, .bits = bits, .terms = 2});
    formats.push_back(ShiftFormat{.method = ShiftMethod::kPs, .bits = bits, .offset = -1, .terms = 2});
  }
  return formats;
}

INSTANTIATE_TEST_SUITE_P(Checkpoint, EveryFormatTest, ::testing::ValuesIn(every_format()),
                         [](const auto& info) {
                           return info.param ? fmt::format("{}{}{}", name_of(info.param->method),
                                                           info.param->bits_str(),
                                                           info.param->offset == 0 ? "" : "offset")
                                             : "float";
                         });

/// Whether the weight is +-2^p with p in range, or the 0 of PS; or the sum of two of those.
bool belongs_to(const ShiftFormat& format, float weight) {
  if (format.terms == 2) {
    const std::vector<std::vector<float>> terms = split_terms(std::vector<float>{weight}, format);
    const ShiftFormat one{.method = format.method, .bits = format.bits, .offset = format.offset};
    return terms[0][0] + terms[1][0] == weight && belongs_to(one, terms[0][0]) &&
           belongs_to(one, terms[1][0]);
  }
  if (weight == 0.0F) return format.method == ShiftMethod::kPs;
  int exponent = 0;
  const float fraction = std::frexp(weight, &exponent);
  const ShiftRange range = format.range();
  return std::abs(fraction) == 0.5F && exponent - 1 >= range.p_min && exponent - 1 <= range.p_max;
}

TEST_P(EveryFormatTest, ComesBackBitForBit) {
  const TemporaryFolder folder;
  const ModulePtr net = make_net(1);
  if (GetParam()) convert_all(*net, *GetParam());
  Sgd optimizer(net->parameters(), {.lr = 0.05, .momentum = 0.9});
  train_steps(*net, optimizer, 0, 3);
  save_model(folder / "a", *net, kInfo);

  const ModulePtr loaded = make_net(2);  // float, with other values
  load_model(SafetensorsFile(folder / "a"), *loaded);
  EXPECT_EQ(outputs(*loaded), outputs(*net));
  for (const NamedLayer& named : weighted_layers(*loaded)) {
    EXPECT_EQ(named.layer->weight().format(), GetParam());
  }
  save_model(folder / "b", *loaded, kInfo);
  EXPECT_EQ(contents(folder / "a"), contents(folder / "b"));
}

TEST_P(EveryFormatTest, RoundedWeightsAreThoseOfTheFormat) {
  const TemporaryFolder folder;
  const ModulePtr net = make_net(1);
  if (GetParam()) convert_all(*net, *GetParam());
  save_model(folder / "a", *net, kInfo);
  const ModulePtr loaded = make_net(2);
  load_model(SafetensorsFile(folder / "a"), *loaded);
  for (const NamedLayer& named : weighted_layers(*loaded)) {
    for (const float weight : named.layer->weight().rounded().to_vector<float>()) {
      EXPECT_TRUE(!GetParam() || belongs_to(*GetParam(), weight)) << weight;
    }
  }
}

TEST_F(CheckpointTest, FilesHavePyTorchsNamesAndAxes) {
  const ModulePtr net = make_net(1);
  save_model(path_, *net, kInfo);
  const SafetensorsFile file(path_);
  EXPECT_THAT(file.names(), ::testing::ElementsAre("conv.weight", "bn.weight", "bn.bias", "fc.weight",
                                                   "fc.bias", "bn.running_mean", "bn.running_var"));
  const Tensor in_file = file.read("conv.weight");
  ASSERT_EQ(in_file.shape(), Shape({4, 3, 3, 2}));  // O,I,kh,kw
  const Tensor in_memory = net->named_parameters().front().value.value();
  ASSERT_EQ(in_memory.shape(), Shape({4, 3, 2, 3}));  // O,kh,kw,I
  for (int64_t o = 0; o < 4; ++o) {
    for (int64_t i = 0; i < 3; ++i) {
      for (int64_t k = 0; k < 6; ++k) {
        EXPECT_EQ(in_file.data<float>()[(o * 3 + i) * 6 + k], in_memory.data<float>()[(o * 6 + k) * 3 + i]);
      }
    }
  }
}

TEST_F(CheckpointTest, MetadataSaysWhatTheFileIs) {
  const ModulePtr net = make_net(1);
  convert(*net, "fc", {ShiftMethod::kPs, 4}, Rounding::kStochastic);
  save_model(path_, *net, kInfo);
  const SafetensorsFile file(path_);
  const ModelInfo info = read_model_info(file);
  EXPECT_EQ(info.architecture, "tiny");
  EXPECT_EQ(info.classes, 4);
  EXPECT_EQ(info.options, kInfo.options);
  EXPECT_EQ(info.version, 1);
  EXPECT_EQ(file.metadata().at("deepshift.weights"),
            R"({"fc":{"bits":4,"method":"ps","rounding":"stochastic"}})");

  const ModulePtr loaded = make_net(2);
  convert(*loaded, "conv", {ShiftMethod::kQ, 3});  // becomes float again
  load_model(file, *loaded);
  const auto layers = weighted_layers(*loaded);
  EXPECT_EQ(layers[0].layer->weight().format(), std::nullopt);
  EXPECT_EQ(layers[1].layer->weight().format(), (ShiftFormat{ShiftMethod::kPs, 4}));
  EXPECT_EQ(layers[1].layer->weight().options().rounding, Rounding::kStochastic);
}

TEST_F(CheckpointTest, KeepsTheRoundingOfActivations) {
  const ModulePtr net = make_net(1);
  const ActivationQuantOptions options = {.format = parse_activation_format("6"), .unsigned_inputs = true};
  quantize_activations(*net, options);
  Sgd optimizer(net->parameters(), {.lr = 0.05});
  train_steps(*net, optimizer, 0, 2);  // gives every layer its range
  save_model(path_, *net, kInfo);

  const ModulePtr loaded = make_net(2);
  load_model(SafetensorsFile(path_), *loaded);
  EXPECT_EQ(activation_quant_options(*loaded), options);
  EXPECT_EQ(outputs(*loaded), outputs(*net));

  const ModulePtr plain = make_net(1);
  save_model(path_, *plain, kInfo);
  load_model(SafetensorsFile(path_), *loaded);
  EXPECT_EQ(activation_quant_options(*loaded), std::nullopt);
  EXPECT_EQ(outputs(*loaded), outputs(*plain));
}

TEST_F(CheckpointTest, ClampsMasters) {
  const ModulePtr net = make_net(1);
  convert(*net, "fc", {ShiftMethod::kQ, 3});
  for (NamedParameter& parameter : net->named_parameters()) {
    if (parameter.name == "fc.weight") parameter.value.mutable_value().fill(100.0);
  }
  save_model(path_, *net, kInfo);
  const ModulePtr loaded = make_net(2);
  load_model(SafetensorsFile(path_), *loaded);
  for (const NamedParameter& parameter : loaded->named_parameters()) {
    if (parameter.name == "fc.weight") {
      EXPECT_EQ(parameter.value.value().to_vector<float>(), std::vector<float>(256, 1.0F));
    }
  }
}

TEST_F(CheckpointTest, RefusesMastersThatAreNotFinite) {
  for (const ShiftMethod method : {ShiftMethod::kQ, ShiftMethod::kPs}) {
    const ModulePtr net = make_net(1);
    convert_all(*net, {method, 4});
    for (NamedParameter& parameter : net->named_parameters()) {
      if (parameter.name == "conv.weight" || parameter.name == "conv.sign") {
        parameter.value.mutable_value().data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    save_model(path_, *net, kInfo);
    const ModulePtr loaded = make_net(2);
    EXPECT_THAT(test::error_of([&] { load_model(SafetensorsFile(path_), *loaded); }),
                HasSubstr("not finite"));
  }
}

TEST_F(CheckpointTest, KeepsWeightsThatAlreadyHaveTheirFormat) {
  const ModulePtr net = make_net(1);
  convert(*net, "fc", {ShiftMethod::kQ, 5});
  save_model(path_, *net, kInfo);
  Sgd optimizer(net->parameters(), {.lr = 0.05});
  load_model(SafetensorsFile(path_), *net);
  train_steps(*net, optimizer, 0, 1);  // would refuse retired parameters
}

// ---- Files that do not fit

TEST_F(CheckpointTest, ListsEverythingThatDoesNotFitAndChangesNothing) {
  const Tensor wrong = Tensor::zeros({4, 3, 3, 3});
  write_safetensors(path_,
                    {{"conv.weight", wrong},
                     {"bn.weight", Tensor::from(std::vector<int64_t>{1, 2, 3, 4}, {4})},
                     {"bn.bias", Tensor::zeros({4})},
                     {"fc.bias", Tensor::zeros({4})},
                     {"fc2.bias", Tensor::zeros({7})},
                     {"bn.running_mean", Tensor::zeros({4})},
                     {"bn.running_var", Tensor::zeros({4})}},
                    {{"deepshift.version", "1"},
                     {"deepshift.weights", R"({"conv":{"method":"q","bits":4,"rounding":"nearest"}})"},
                     {"deepshift.activation", R"({"fc":{"format":"8","rounding":"floor","unsigned":false,)"
                                              R"("paper_top":false,"momentum":0.1}})"}});
  const ModulePtr net = make_net(1);
  const std::vector<float> before = outputs(*net);
  Sgd optimizer(net->parameters(), {.lr = 0.05});
  EXPECT_THAT(load_error(path_, *net),
              AllOf(HasSubstr(path_), HasSubstr("missing: fc.weight, expected f32 [4, 64]"),
                    HasSubstr("missing: fc.input_range, expected f32 [2]"),
                    HasSubstr("conv.weight: found f32 [4, 3, 3, 3], expected f32 [4, 3, 3, 2]"),
                    HasSubstr("bn.weight: found i64 [4], expected f32 [4]"),
                    HasSubstr("unexpected: fc2.bias, found f32 [7]"), Not(HasSubstr("fc.bias, "))));
  EXPECT_EQ(outputs(*net), before);
  train_steps(*net, optimizer, 0, 1);  // no parameter was retired
}

TEST_F(CheckpointTest, CountsWhatItDoesNotList) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < 23; ++i) tensors.push_back({fmt::format("extra_{:02}", i), Tensor::zeros({1})});
  write_safetensors(path_, tensors);
  const ModulePtr net = make_net(1);
  EXPECT_THAT(load_error(path_, *net),
              AllOf(HasSubstr("unexpected: extra_19"), Not(HasSubstr("extra_20")),
                    HasSubstr("and 3 more unexpected"), Not(HasSubstr("more missing"))));
}

TEST_F(CheckpointTest, ChecksTensorsThatAreNotLoaded) {
  const ModulePtr net = make_net(1);
  save_model(path_, *net, kInfo);
  std::vector<TensorSpec> tensors = SafetensorsFile(path_).tensors();
  const auto error_of_tensors = [&] {
    return test::error_of([&] { check_tensors("file.pth", tensors, *net); });
  };
  tensors.push_back({"bn.num_batches_tracked", DType::kI64, {}});
  EXPECT_EQ(error_of_tensors(), "");
  for (TensorSpec& tensor : tensors) tensor.name.insert(0, "model.");
  EXPECT_EQ(error_of_tensors(), "");
  for (TensorSpec& tensor : tensors) tensor.name.replace(0, 6, "module.");
  EXPECT_EQ(error_of_tensors(), "");
  tensors.front().shape = {7};
  EXPECT_THAT(error_of_tensors(), AllOf(HasSubstr("file.pth does not fit"), HasSubstr("found f32 [7]")));
  tensors.front().name = "module.other";
  EXPECT_THAT(error_of_tensors(),
              AllOf(HasSubstr("missing: module."), HasSubstr("unexpected: module.other")));
}

TEST_F(CheckpointTest, RefusesMetadataThatDisagrees) {
  const ModulePtr net = make_net(1);
  save_model(path_, *net, kInfo);
  const SafetensorsFile file(path_);
  std::vector<NamedTensor> tensors;
  for (const std::string& name : file.names()) tensors.push_back({name, file.read(name)});
  const auto error_with = [&](const std::string& key, const std::string& value) {
    Metadata metadata = file.metadata();
    metadata[key] = value;
    write_safetensors(folder_ / "changed", tensors, metadata);
    return load_error(folder_ / "changed", *net);
  };
  EXPECT_EQ(error_with("other.key", "x"), "");
  EXPECT_THAT(error_with("deepshift.version", "4"),
              HasSubstr("has format version 4, this program reads up to 3: a newer one wrote it"));
  EXPECT_THAT(error_with("deepshift.weights",
                         R"({"conv": {"method": "q", "bits": 4, "rounding": "nearest", "terms": 3}})"),
              HasSubstr("weights of 3 terms, expected 1 or 2"));
  EXPECT_THAT(error_with("deepshift.weights",
                         R"({"conv": {"method": "q", "bits": 4, "rounding": "stochastic", "terms": 2}})"),
              HasSubstr("cannot be rounded stochastically"));
  EXPECT_THAT(error_with("deepshift.version", "one"), HasSubstr("metadata deepshift.version"));
  EXPECT_THAT(error_with("deepshift.version", "-1"), HasSubstr("-1, expected a number"));
  const std::string weights = "deepshift.weights";
  EXPECT_THAT(error_with(weights, R"({"fc":{"method":"ps","bits":4,"rounding":"nearest"}})"),
              AllOf(HasSubstr("missing: fc.shift"), HasSubstr("missing: fc.sign"),
                    HasSubstr("unexpected: fc.weight")));
  EXPECT_THAT(error_with(weights, R"({"bn":{"method":"q","bits":4,"rounding":"nearest"}})"),
              HasSubstr("a layer 'bn'"));
  EXPECT_THAT(error_with(weights, R"({"fc":{"method":"r","bits":4,"rounding":"nearest"}})"),
              HasSubstr("method \"r\""));
  EXPECT_THAT(error_with(weights, R"({"fc":{"method":"q","bits":9,"rounding":"nearest"}})"), HasSubstr("9"));
  EXPECT_THAT(error_with(weights, R"({"fc":{"method":"q","bits":4,"rounding":"up"}})"),
              HasSubstr("rounding \"up\""));
  EXPECT_THAT(error_with(weights, R"({"fc":{"method":"q"}})"), HasSubstr("metadata deepshift.weights"));
  EXPECT_THAT(error_with(weights, R"({"fc":)"), HasSubstr("metadata deepshift.weights"));
  EXPECT_THAT(error_with(weights, R"([1])"), HasSubstr("metadata deepshift.weights"));
  EXPECT_THAT(
      error_with("deepshift.activation", R"({"fc":{"format":"99","rounding":"nearest","unsigned":false,)"
                                         R"("paper_top":false,"momentum":0.1}})"),
      HasSubstr("metadata deepshift.activation"));
}

TEST_F(CheckpointTest, ReadsFilesOfPyTorch) {
  const ModulePtr net = make_net(1);
  save_model(folder_ / "ours", *net, kInfo);
  const SafetensorsFile ours(folder_ / "ours");
  std::vector<NamedTensor> tensors;
  for (const std::string& name : ours.names()) tensors.push_back({"module." + name, ours.read(name)});
  tensors.push_back({"module.bn.num_batches_tracked", Tensor::from(std::vector<int64_t>{9}, {})});
  write_safetensors(path_, tensors);

  const SafetensorsFile file(path_);
  EXPECT_EQ(read_model_info(file).version, 0);
  EXPECT_EQ(read_model_info(file).architecture, "");
  const ModulePtr loaded = make_net(2);
  const ActivationQuantOptions options = {.format = parse_activation_format("8")};
  convert_all(*loaded, {ShiftMethod::kPs, 3});
  quantize_activations(*loaded, options);
  load_model(file, *loaded);
  EXPECT_EQ(activation_quant_options(*loaded), options);
  quantize_activations(*loaded, std::nullopt);
  EXPECT_EQ(outputs(*loaded), outputs(*net));
}

TEST_F(CheckpointTest, ReadsTheRealResNet20) {
  const std::string original = test::weights_folder() + "/cifar10_resnet20.safetensors";
  DS_REQUIRE_DATA(original);
  const ModulePtr net = models::make("resnet20");
  const SafetensorsFile file(original);
  load_model(file, *net);
  save_model(path_, *net, {.architecture = "resnet20"});
  const SafetensorsFile saved(path_);
  size_t compared = 0;
  for (const std::string& name : saved.names()) {
    ASSERT_TRUE(file.contains(name)) << name;
    EXPECT_EQ(saved.read(name).to_vector<float>(), file.read(name).to_vector<float>()) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 97U);
}

}  // namespace
}  // namespace ds
