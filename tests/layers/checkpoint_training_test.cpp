#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "autograd/optim/radam.h"
#include "autograd/optim/sgd.h"
#include "core/error.h"
#include "layers/checkpoint.h"
#include "tests/layers/tiny_net.h"
#include "tests/support/data.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using test::contents;
using test::convert;
using test::convert_all;
using test::kInfo;
using test::make_input;
using test::make_net;
using test::outputs;
using test::TemporaryFolder;
using test::train_steps;
using ::testing::HasSubstr;

class CheckpointTrainingTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  std::string path_ = folder_ / "model.safetensors";
};

TEST_F(CheckpointTrainingTest, ResumesWithEqualBits) {
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
    const TrainingState state = {.epoch = 3, .batch = 17, .run = R"({"lr": 0.05})"};
    const std::vector<NamedTensor> extra = {{"ema.0", Tensor::full({2}, 5.0)}};
    save_training(path_, *net, kInfo, *optimizer, state, extra);
    const uint32_t next_word = default_generator().word();
    train_steps(*net, *optimizer, 4, 4);

    const SafetensorsFile file(path_);
    const ModulePtr resumed = make_net(2);
    load_model(file, *resumed);
    const auto resumed_optimizer = make_optimizer(*resumed);
    const TrainingState found = load_training(file, *resumed_optimizer);
    EXPECT_EQ(default_generator().word(), next_word);
    EXPECT_EQ(found.epoch, 3);
    EXPECT_EQ(found.batch, 17);
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

TEST_F(CheckpointTrainingTest, RefusesToResumeFromAModel) {
  const ModulePtr net = make_net(1);
  Sgd optimizer(net->parameters(), {.lr = 0.05});
  save_model(path_, *net, kInfo);
  EXPECT_THROW(read_training_state(SafetensorsFile(path_)), Error);
  EXPECT_THROW(load_training(SafetensorsFile(path_), optimizer), Error);
}

TEST_F(CheckpointTrainingTest, NamesTheFileOfAStateThatDoesNotFit) {
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

// ---- The versions of the format, forever

/// Writes the golden file, once for a version of the format; an existing one is never touched.
TEST(CheckpointGolden, DISABLED_WriteFile) {
  const std::string stem = test::fixture(fmt::format("checkpoint_v{}", kCheckpointVersion));
  ASSERT_FALSE(std::filesystem::exists(stem + ".safetensors"));
  const ModulePtr net = make_net(1);
  convert(*net, "conv", {ShiftMethod::kQ, 4, 0, 2});
  convert(*net, "fc", {ShiftMethod::kPs, 4});
  RAdam optimizer(net->parameters(), {.lr = 0.05});
  train_steps(*net, optimizer, 0, 3);
  save_training(stem + ".safetensors", *net, kInfo, optimizer, {.epoch = 1, .batch = 2, .run = "{}"});
  write_safetensors(stem + "_expected.safetensors",
                    {{"input", make_input(3)}, {"logits", Tensor::from(outputs(*net), {3, 4})}});
}

void expect_golden(int version, ShiftFormat conv) {
  const std::string stem = test::fixture(fmt::format("checkpoint_v{}", version));
  const SafetensorsFile file(stem + ".safetensors");
  const SafetensorsFile expected(stem + "_expected.safetensors");
  const ModulePtr net = make_net(5);
  load_model(file, *net);
  EXPECT_EQ(read_model_info(file).architecture, "tiny");
  EXPECT_EQ(read_model_info(file).version, version);
  const auto layers = weighted_layers(*net);
  EXPECT_EQ(layers[0].layer->weight().format(), conv);
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

TEST(CheckpointGolden, EveryVersionAlwaysLoads) {
  expect_golden(1, {ShiftMethod::kQ, 5});
  expect_golden(2, {ShiftMethod::kQ, 3, -2});    // with an exponent offset
  expect_golden(3, {ShiftMethod::kQ, 4, 0, 2});  // of two terms
}

}  // namespace
}  // namespace ds
