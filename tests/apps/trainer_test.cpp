#include "apps/common/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "apps/common/diagnose.h"
#include "apps/common/optimization.h"
#include "autograd/functions.h"
#include "core/error.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/convert.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/registry.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Two classes, bright and dark images with noise.
Dataset bright_or_dark(int64_t count, uint64_t seed) {
  Generator generator(seed);
  Dataset data{.images = Tensor::empty({count, 32, 32, 3}, DType::kU8),
               .labels = Tensor::empty({count}, DType::kI64),
               .classes = {"dark", "bright"}};
  for (int64_t i = 0; i < count; ++i) {
    data.labels.data<int64_t>()[i] = i % 2;
    Tensor image = data.images.slice(i, i + 1);
    for (uint8_t& pixel : image.span<uint8_t>()) {
      pixel = static_cast<uint8_t>(generator.below(128) + (i % 2 == 1 ? 100 : 0));
    }
  }
  return data;
}

Network tiny_network(const std::string& method = "float") {
  manual_seed(7);
  Network network{.model = std::make_shared<Sequential>(std::vector<std::pair<std::string, ModulePtr>>{
                      {"conv", std::make_shared<Conv2d>(3, 4, Conv2dLayerOptions{.kernel = 3, .stride = 4})},
                      {"bn", std::make_shared<BatchNorm2d>(4)},
                      {"relu", std::make_shared<Relu>()},
                      {"pool", std::make_shared<GlobalAvgPool2d>()},
                      {"linear", std::make_shared<Linear>(4, 2)}})};
  network.info = {.architecture = "tiny", .classes = 2};
  if (method != "float")
    convert_to_shift(*network.model, {.method = parse_shift_method(method), .weight_bits = 4});
  return network;
}

TrainOptions tiny_options(int64_t epochs) {
  TrainOptions options{.data = "unused", .dataset = "cifar10", .workers = 0, .arch = "tiny"};
  options.epochs = epochs;
  options.batch_size = 16;
  options.schedule = "constant";
  options.lr = 0.05;
  options.machine.device = "cpu";
  resolve(options);
  return options;
}

/// The network of a checkpoint.
Network resumed_network(const std::string& checkpoint, const std::string& method = "float") {
  Network network = tiny_network(method);
  load_model(SafetensorsFile(checkpoint), *network.model);
  return network;
}

TaskData tiny_data() {
  const Dataset test = bright_or_dark(32, 2);
  return {.train = bright_or_dark(72, 1), .evaluation = test, .test = test};
}

/// Keeps what the trainer prints out of the tests' report.
class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
  }
  void TearDown() override {
    ::testing::internal::GetCapturedStdout();
    ::testing::internal::GetCapturedStderr();
  }
};

TEST_F(TrainerTest, LearnsAndWritesItsFolder) {
  const test::TemporaryFolder temporary;
  const RunFolder folder = RunFolder::create(temporary / "run");
  Trainer trainer(tiny_options(6), nlohmann::json::object(), tiny_network(), tiny_data(), folder);
  ASSERT_TRUE(trainer.run());
  const RunState& state = trainer.state();
  ASSERT_EQ(state.records.size(), 6U);
  EXPECT_LT(state.records[5].loss, state.records[0].loss);
  EXPECT_GT(state.records[5].train_accuracy, 0.9);
  EXPECT_EQ(state.best_epoch, 6) << "without held-out images, the last epoch";
  EXPECT_EQ(to_jsonl(read_jsonl(folder.metrics())), to_jsonl(state.records));
  EXPECT_EQ(read_run_state(folder.last()).epoch, 6);
  EXPECT_THAT(content(folder.curves()), HasSubstr("</svg>"));
}

TEST_F(TrainerTest, RecomputesBlocksWhereThereAreAny) {
  TrainOptions options = tiny_options(1);
  options.recompute = true;
  options.arch = "mnist_fc";
  EXPECT_THAT(
      [&] { make_network(options, std::nullopt); },
      ::testing::ThrowsMessage<Error>(AllOf(HasSubstr("--recompute has no effect"), HasSubstr("no blocks"))));

  options.arch = "resnet20";
  const test::TemporaryFolder temporary;
  const auto bits_of_a_run = [&](const std::string& name) {
    const RunFolder folder = RunFolder::create(temporary / name);
    EXPECT_TRUE(
        Trainer(options, nlohmann::json::object(), make_network(options, std::nullopt), tiny_data(), folder)
            .run());
    return content(folder.last());
  };
  const std::string recomputed = bits_of_a_run("recomputed");
  options.recompute = false;
  EXPECT_EQ(recomputed, bits_of_a_run("kept"));
}

class TrainerResume : public TrainerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(TrainerResume, EndsWithTheSameBits) {
  const test::TemporaryFolder temporary;
  const std::string method = GetParam();
  const auto options = [&](int64_t epochs) {
    TrainOptions result = tiny_options(epochs);
    result.optimizer = method == "ps" ? "radam" : "sgd";
    result.ema = 0.9;
    result.mixup = 0.4;
    return result;
  };
  const RunFolder whole = RunFolder::create(temporary / "whole");
  ASSERT_TRUE(Trainer(options(3), nlohmann::json::object(), tiny_network(method), tiny_data(), whole).run());

  const RunFolder part = RunFolder::create(temporary / "part");
  ASSERT_TRUE(Trainer(options(1), nlohmann::json::object(), tiny_network(method), tiny_data(), part).run());
  EXPECT_NE(content(part.last()), content(whole.last()));
  Trainer continued(options(3), nlohmann::json::object(), resumed_network(part.last(), method), tiny_data(),
                    part);
  continued.resume(part.last(), read_run_state(part.last()));
  ASSERT_TRUE(continued.run());
  EXPECT_EQ(content(part.last()), content(whole.last()));
  EXPECT_EQ(content(part.best()), content(whole.best()));
  EXPECT_EQ(read_jsonl(part.metrics()).size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Methods, TrainerResume, ::testing::Values("float", "q", "ps"));

TEST_F(TrainerTest, HeldOutImagesChooseTheFirstBestEpoch) {
  const test::TemporaryFolder temporary;
  const RunFolder folder = RunFolder::create(temporary / "run");
  TrainOptions options = tiny_options(8);
  options.holdout = 32;
  Trainer trainer(options, nlohmann::json::object(), tiny_network(), tiny_data(), folder);
  ASSERT_TRUE(trainer.run());
  int64_t best = 1;
  const auto& records = trainer.state().records;
  for (size_t i = 1; i < records.size(); ++i) {
    if (records[i].evaluated.correct > records[static_cast<size_t>(best - 1)].evaluated.correct) {
      best = static_cast<int64_t>(i) + 1;
    }
  }
  EXPECT_EQ(trainer.state().best_epoch, best);
  EXPECT_THAT(content(folder.metrics()), HasSubstr("holdout_accuracy"));
}

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesStepAndLayerAndKeepsTheCheckpoint) {
  const test::TemporaryFolder temporary;
  const RunFolder folder = RunFolder::create(temporary / "run");
  ASSERT_TRUE(Trainer(tiny_options(1), nlohmann::json::object(), tiny_network(), tiny_data(), folder).run());
  const std::string before = content(folder.last());
  TrainOptions options = tiny_options(5);
  options.lr = 1e30;
  Trainer trainer(options, nlohmann::json::object(), resumed_network(folder.last()), tiny_data(), folder);
  trainer.resume(folder.last(), read_run_state(folder.last()));
  try {
    trainer.run();
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("at step"), HasSubstr("epoch 2"),
                                    HasSubstr("first not finite is"), HasSubstr(folder.last())));
  }
  EXPECT_EQ(content(folder.last()), before);
}

TEST(Diagnose, NamesTheFirstLayerWhoseOutputIsNotFinite) {
  const Network network = tiny_network();
  const Tensor images = Tensor::full({4, 32, 32, 3}, 1e20);
  for (const NamedParameter& parameter : network.model->named_parameters()) {
    if (parameter.name == "conv.weight") Variable(parameter.value).mutable_value().fill(1e20);
  }
  EXPECT_EQ(first_not_finite(*network.model, images), "the output of conv2d in conv");
}

TEST(Diagnose, NamesAParameterBeforeAnyLayer) {
  const Network network = tiny_network();
  for (const NamedParameter& parameter : network.model->named_parameters()) {
    if (parameter.name == "linear.bias") Variable(parameter.value).mutable_value().fill(NAN);
  }
  EXPECT_EQ(first_not_finite(*network.model, Tensor::zeros({2, 32, 32, 3})), "parameter linear.bias");
}

TrainOptions muon_options(const std::string& method, double weight_decay) {
  TrainOptions options = tiny_options(1);
  options.method = method;
  options.optimizer = "muon";
  options.lr = 0.03;
  options.weight_decay = weight_decay;
  return options;
}

/// Filters that join channels are matrices; those of depthwise convolutions, the last layer and batch norm
/// are not.
TEST(Optimization, MuonTakesFilters) {
  const TrainOptions options = muon_options("float", 0.1);
  const ModulePtr network = models::make("mobilenet_v2_cifar");
  const auto optimizer = make_optimizer(options, *network);
  EXPECT_THAT(optimizer->describe(), ::testing::HasSubstr("Muon(lr 0.03"));
  ASSERT_EQ(optimizer->groups().size(), 3U);
  for (const Variable& filter : optimizer->groups()[0].parameters) {
    ASSERT_EQ(filter.shape().rank(), 4);
    EXPECT_GT(filter.shape()[3], 1);
  }
  EXPECT_EQ(optimizer->groups()[0].weight_decay, 0.1);
  EXPECT_EQ(optimizer->groups()[0].lr_scale, 1.0);
  bool depthwise = false;
  for (const Variable& weight : optimizer->groups()[1].parameters) {
    depthwise = depthwise || (weight.shape().rank() == 4 && weight.shape()[3] == 1);
  }
  EXPECT_TRUE(depthwise);
  EXPECT_EQ(optimizer->groups()[2].weight_decay, 0.0);
  EXPECT_GT(optimizer->groups()[2].lr_scale, 1.0);
}

/// Twice the update with the same shrinking a step: filters of Q with few bits settle at twice the size.
TEST(Optimization, MuonKeepsFiltersOfFewBitsLarger) {
  for (const int bits : {3, 4, 5}) {
    TrainOptions options = muon_options("q", 0.1);
    options.weight_bits = bits;
    const auto optimizer = make_optimizer(options, *models::make("resnet20"));
    const ParameterGroup& filters = optimizer->groups()[0];
    EXPECT_EQ(filters.lr_scale, bits <= 4 ? 2.0 : 1.0);
    EXPECT_EQ(filters.lr_scale * filters.weight_decay, 0.1);
  }
}

/// P and S move as matrices do, the last layer's too: by 0.2 lr an element in the root mean square, at rates
/// of their own, however large the gradient. P decays through the loss alone; S as much a step as filters do.
TEST(Optimization, MuonTakesShiftsAndSigns) {
  const TrainOptions options = muon_options("ps", 1e-4);
  const Network network = tiny_network("ps");
  const auto optimizer = make_optimizer(options, *network.model);
  for (const ParameterGroup& group : optimizer->groups()) {
    const bool signs = group.lr_scale == 10.0;
    EXPECT_DOUBLE_EQ(group.lr_scale * group.weight_decay, signs ? kMuonDecay : 0.0);
  }
  const std::map<ParameterRole, double> scales = {{ParameterRole::kShift, 2.0}, {ParameterRole::kSign, 10.0}};
  for (const double gradient : {1.0, 100.0}) {
    int moved = 0;
    for (const NamedParameter& named : network.model->named_parameters()) {
      if (!scales.contains(named.role)) continue;
      Variable parameter = named.value;
      parameter.mutable_value().fill(-1.0);  // within the range of P
      Tensor g = Tensor::zeros(parameter.shape());
      fill_normal(g, 0.0, gradient, default_generator());
      parameter.zero_grad();
      parameter.accumulate_grad(g);
      ++moved;
    }
    EXPECT_EQ(moved, 4) << "of a convolution and a linear layer";
    optimizer->step();
    for (const NamedParameter& named : network.model->named_parameters()) {
      if (!scales.contains(named.role)) continue;
      double squares = 0.0;
      for (const float value : named.value.value().span<float>()) squares += std::pow(value + 1.0, 2);
      const double size = std::sqrt(squares / static_cast<double>(named.value.shape().numel()));
      const double expected = 0.2 * 0.03 * scales.at(named.role);
      EXPECT_GT(size, 0.6 * expected) << named.name << ", gradient " << gradient;
      EXPECT_LT(size, 1.4 * expected) << named.name << ", gradient " << gradient;
    }
  }
}

/// What ps leaves float decays as other filters do: --weight-decay is then that of P.
TEST(Optimization, MuonLetsFloatFiltersOfPsNetsDecay) {
  const TrainOptions options = muon_options("ps", 1e-4);
  const Network network = tiny_network();  // as --first-last float leaves the first convolution
  const auto optimizer = make_optimizer(options, *network.model);
  EXPECT_EQ(optimizer->groups()[0].parameters.size(), 1U);
  EXPECT_EQ(optimizer->groups()[0].weight_decay, kMuonDecay);
}

TEST(Optimization, EverySchedulePeaksAtTheGivenRate) {
  for (const char* name : {"step", "multistep", "cosine", "onecycle", "constant"}) {
    TrainOptions options = tiny_options(10);
    options.schedule = name;
    options.milestones = {4, 8};
    const Network network = tiny_network();
    const auto optimizer = make_optimizer(options, *network.model);
    const auto schedule = make_schedule(options, *optimizer);
    double highest = 0.0;
    for (int i = 0; i <= 100; ++i) highest = std::max(highest, schedule->lr_at(0.1 * i));
    EXPECT_NEAR(highest, 0.05, 1e-4) << name;
  }
}

}  // namespace
}  // namespace ds::apps
