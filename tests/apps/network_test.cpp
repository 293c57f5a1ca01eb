// Model files as the apps open them: what is asked of a file before a network is made of it.
#include "apps/common/network.h"

#include <gmock/gmock.h>

#include "apps/common/evaluate_file.h"
#include "apps/common/run_state.h"
#include "layers/checkpoint.h"
#include "models/registry.h"
#include "tests/layers/support.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using test::error_of;
using testing::HasSubstr;

class NetworkFile : public testing::Test {
 protected:
  /// A file of that network that claims so many classes.
  std::string file(const std::string& arch, int64_t claimed) {
    const std::string path = folder_.path() + "/" + arch + ".safetensors";
    save_model(path, *models::make(arch), {.architecture = arch, .classes = claimed});
    return path;
  }

  test::TemporaryFolder folder_;
};

TEST_F(NetworkFile, OpensWithTheClassesItHas) {
  EXPECT_EQ(open_network(file("mnist_fc", 10), {}).info.classes, 10);
  EXPECT_EQ(open_network(file("mnist_fc", 0), {}).info.classes, 10);  // does not say
}

TEST_F(NetworkFile, WithAFalseNumberOfClassesIsRefusedBeforeANetworkIsMade) {
  for (const int64_t classes : {int64_t{11}, int64_t{1'000'000'000'000}}) {
    const std::string path = file("resnet20", classes);
    EXPECT_THAT(error_of([&] { open_network(path, {}); }),
                HasSubstr(fmt::format("{}: says that it has {} classes", path, classes)));
  }
}

TEST_F(NetworkFile, OfAnotherKindOfImageIsNamedAsSuch) {
  TrainOptions options;
  options.arch = "resnet20";
  options.dataset = "cifar10";
  options.pretrained = file("mnist_fc", 10);
  CLI::App app;
  const OptionTable table(app);
  EXPECT_THAT(error_of([&] { open_pretrained(table, options); }),
              HasSubstr("holds mnist_fc, for images [28, 28, 1]; expected a network for images [32, 32, 3]"));
}

/// What the file says of activations holds where the command line says nothing.
TEST_F(NetworkFile, LendsTheRoundingOfActivationsThatWasNotGiven) {
  Network network{.model = models::make("mnist_fc"), .info = {.architecture = "mnist_fc", .classes = 10}};
  quantize_activations(*network.model, parse_activations({.bits = "8"}));
  TrainOptions options;
  options.dataset = options.arch = "mnist";
  CLI::App app;
  OptionTable table(app);
  for (const char* name : {"rounding", "unsigned", "paper-top"}) {
    table.add(fmt::format("activation-{}", name), options.activations.rounding, "", Effect::kResults);
  }
  table.add("activation-bits", options.activations.bits, "", Effect::kResults);
  app.parse("--activation-rounding floor");
  adopt_pretrained(network, table, options);
  EXPECT_EQ(options.activations.bits, "8");
  EXPECT_EQ(options.activations.rounding, "floor");
}

TEST(RunStateNumbers, ThatContradictEachOtherAreRefused) {
  RunState state;
  state.check("file");
  state.epoch = 3;
  EXPECT_THAT(error_of([&] { state.check("file"); }),
              HasSubstr("file: 3 epochs are done, but 0 are recorded"));
  state.epoch = -3;
  EXPECT_THAT(error_of([&] { state.check("file"); }), HasSubstr("epoch is -3"));
  state = {};
  state.best_epoch = 1;
  EXPECT_THAT(error_of([&] { state.check("file"); }),
              HasSubstr("the best epoch is 1, but the records say 0"));
  EXPECT_THAT(error_of([] {
                RunState::from_json(R"({"recipe":[],"records":[],"best_epoch":0,"train_images":0,
      "ema_updates":0,"partial":{"loss_sum":0,"correct":0,"images":0,"seconds":0}})",
                                    "file");
              }),
              HasSubstr("file: the recipe of the run is not an object"));
}

}  // namespace
}  // namespace ds::apps
