#include "layers/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "autograd/functions.h"
#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"
#include "core/error.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/flatten.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/registry.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// 3 channels of 6 x 5 to 4 classes; the axes of "conv" and "fc" differ between memory and file.
ModulePtr make_net(uint64_t seed) {
  manual_seed(seed);
  const auto named = [](std::string name, ModulePtr module) {
    return std::pair(std::move(name), std::move(module));
  };
  return std::make_shared<Sequential>(std::vector<std::pair<std::string, ModulePtr>>{
      named("conv", std::make_shared<Conv2d>(3, 4, Conv2dLayerOptions{.kernel = {3, 2}, .bias = false})),
      named("bn", std::make_shared<BatchNorm2d>(4)), named("relu", std::make_shared<Relu>()),
      named("flatten", std::make_shared<Flatten>()),
      named("fc", std::make_shared<Linear>(4 * 4 * 4, 4, LinearOptions{.flattened = {4, 4, 4}}))});
}

Tensor make_input(int64_t count, uint64_t seed = 7) {
  Tensor x = Tensor::empty({count, 6, 5, 3});
  Generator generator(seed);
  fill_normal(x, 0.0, 1.0, generator);
  return x;
}

void convert(Module& net, const std::string& path, ShiftFormat format,
             Rounding rounding = Rounding::kNearest) {
  for (const NamedLayer& named : weighted_layers(net)) {
    if (named.path != path) continue;
    const Weight& weight = named.layer->weight();
    named.layer->replace_weight(
        make_weight(format, weight.rounded(), {.layout = weight.options().layout, .rounding = rounding}));
  }
}

void convert_all(Module& net, ShiftFormat format) {
  convert(net, "conv", format);
  convert(net, "fc", format);
}

std::vector<float> outputs(Module& net) {
  const NoGrad no_grad;
  net.eval();
  return net(make_input(3)).value().to_vector<float>();
}

void train_steps(Module& net, Optimizer& optimizer, int first, int count) {
  net.train();
  for (int step = first; step < first + count; ++step) {
    const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1, 2, 3, 1}, {5});
    cross_entropy(net(make_input(5, static_cast<uint64_t>(100 + step))), labels).backward();
    optimizer.step();
    optimizer.zero_grad();
  }
}

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string load_error(const std::string& path, Module& net) {
  try {
    load_model(SafetensorsFile(path), net);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

const ModelInfo kInfo = {.architecture = "tiny", .classes = 4, .options = R"({"mean":[0.5]})"};

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
  return formats;
}

INSTANTIATE_TEST_SUITE_P(Checkpoint, EveryFormatTest, ::testing::ValuesIn(every_format()),
                         [](const auto& info) {
                           return info.param
                                      ? fmt::format("{}{}", name_of(info.param->method), info.param->bits)
                                      : "float";
                         });

/// Whether the weight is +-2^p with p in range, or the 0 of PS.
bool belongs_to(const ShiftFormat& format, float weight) {
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
  EXPECT_EQ(info.version, kCheckpointVersion);
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
  EXPECT_THAT(error_with("deepshift.version", "2"),
              HasSubstr("has format version 2, this program reads up to 1: a newer one wrote it"));
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

// ---- Training runs

TEST_F(CheckpointTest, ResumesWithEqualBits) {
  for (const bool ps : {false, true}) {
    const auto make_optimizer = [&](Module& net) -> std::unique_ptr<Optimizer> {
      if (ps) return std::make_unique<RAdam>(net.parameters(), RAdamOptions{.lr = 0.01});
      return std::make_unique<Sgd>(net.parameters(),
                                   SgdOptions{.lr = 0.05, .momentum = 0.9, .weight_decay = 1e-3});
    };
    const ModulePtr net = make_net(1);
    convert_all(*net, {ps ? ShiftMethod::kPs : ShiftMethod::kQ, 4});
    const auto optimizer = make_optimizer(*net);
    train_steps(*net, *optimizer, 0, 4);
    const TrainingState state = {.epoch = 3, .batch = 17, .generator = "1 2 3", .run = R"({"lr": 0.05})"};
    const std::vector<NamedTensor> extra = {{"ema.0", Tensor::full({2}, 5.0)}};
    save_training(path_, *net, kInfo, *optimizer, state, extra);
    train_steps(*net, *optimizer, 4, 4);

    const SafetensorsFile file(path_);
    const ModulePtr resumed = make_net(2);
    load_model(file, *resumed);
    const auto resumed_optimizer = make_optimizer(*resumed);
    const TrainingState found = load_training(file, *resumed_optimizer);
    EXPECT_EQ(found.epoch, 3);
    EXPECT_EQ(found.batch, 17);
    EXPECT_EQ(found.generator, "1 2 3");
    EXPECT_EQ(found.run, state.run);
    EXPECT_EQ(read_training_state(file).batch, 17);
    EXPECT_EQ(resumed_optimizer->steps(), 4);
    EXPECT_EQ(file.read("extra.ema.0").to_vector<float>(), (std::vector<float>{5.0F, 5.0F}));
    train_steps(*resumed, *resumed_optimizer, 4, 4);
    EXPECT_EQ(outputs(*resumed), outputs(*net));
    save_training(folder_ / "a", *net, kInfo, *optimizer, state);
    save_training(folder_ / "b", *resumed, kInfo, *resumed_optimizer, state);
    EXPECT_EQ(contents(folder_ / "a"), contents(folder_ / "b"));
  }
}

TEST_F(CheckpointTest, RefusesToResumeFromAModel) {
  const ModulePtr net = make_net(1);
  Sgd optimizer(net->parameters(), {.lr = 0.05});
  save_model(path_, *net, kInfo);
  EXPECT_THROW(read_training_state(SafetensorsFile(path_)), Error);
  EXPECT_THROW(load_training(SafetensorsFile(path_), optimizer), Error);
}

TEST_F(CheckpointTest, NamesTheFileOfAStateThatDoesNotFit) {
  const ModulePtr net = make_net(1);
  Sgd sgd(net->parameters(), {.lr = 0.05, .momentum = 0.9});
  train_steps(*net, sgd, 0, 1);
  save_training(path_, *net, kInfo, sgd, {});
  RAdam radam(net->parameters(), {.lr = 0.01});
  try {
    load_training(SafetensorsFile(path_), radam);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(path_));
  }
}

// ---- The first version of the format, forever

/// Writes the golden file, once for a version of the format; an existing one is never touched.
TEST(CheckpointGolden, DISABLED_WriteFile) {
  const std::string stem = test::fixture(fmt::format("checkpoint_v{}", kCheckpointVersion));
  ASSERT_FALSE(std::filesystem::exists(stem + ".safetensors"));
  const ModulePtr net = make_net(1);
  convert(*net, "conv", {ShiftMethod::kQ, 5});
  convert(*net, "fc", {ShiftMethod::kPs, 4});
  RAdam optimizer(net->parameters(), {.lr = 0.05});
  train_steps(*net, optimizer, 0, 3);
  save_training(stem + ".safetensors", *net, kInfo, optimizer,
                {.epoch = 1, .batch = 2, .generator = "generator", .run = "{}"});
  write_safetensors(stem + "_expected.safetensors",
                    {{"input", make_input(3)}, {"logits", Tensor::from(outputs(*net), {3, 4})}});
}

TEST(CheckpointGolden, TheFirstVersionAlwaysLoads) {
  const SafetensorsFile file(test::fixture("checkpoint_v1.safetensors"));
  const SafetensorsFile expected(test::fixture("checkpoint_v1_expected.safetensors"));
  const ModulePtr net = make_net(5);
  load_model(file, *net);
  EXPECT_EQ(read_model_info(file).architecture, "tiny");
  const auto layers = weighted_layers(*net);
  EXPECT_EQ(layers[0].layer->weight().format(), (ShiftFormat{ShiftMethod::kQ, 5}));
  EXPECT_EQ(layers[1].layer->weight().format(), (ShiftFormat{ShiftMethod::kPs, 4}));
  const NoGrad no_grad;
  net->eval();
  const std::vector<float> found = (*net)(expected.read("input")).value().to_vector<float>();
  const std::vector<float> logits = expected.read("logits").to_vector<float>();
  ASSERT_EQ(found.size(), logits.size());
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(found[i], logits[i], 1e-5F) << i;
  RAdam optimizer(net->parameters(), {.lr = 0.05});
  const TrainingState state = load_training(file, optimizer);
  EXPECT_EQ(state.epoch, 1);
  EXPECT_EQ(state.batch, 2);
  EXPECT_EQ(optimizer.steps(), 3);
}

}  // namespace
}  // namespace ds
