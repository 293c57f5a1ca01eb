// Defaults of the trainers' options that depend on one another.
#include "apps/common/train_options.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace ds::apps {
namespace {

struct Defaults {
  std::string method;
  std::string optimizer = {};  // asked for, or empty
  bool pretrained = false;
  std::string expected_optimizer;
  double lr = 0.0;
  double weight_decay = 0.0;
};

/// As the header's table says.
TEST(TrainOptions, DefaultsFollowTheMethodAndTheOptimizer) {
  const std::vector<Defaults> all = {
      {.method = "float", .expected_optimizer = "sgd", .lr = 0.1, .weight_decay = 5e-4},
      {.method = "q", .pretrained = true, .expected_optimizer = "sgd", .lr = 0.01, .weight_decay = 1e-4},
      {.method = "ps", .expected_optimizer = "radam", .lr = 0.1, .weight_decay = 1e-4},
      {.method = "ps", .pretrained = true, .expected_optimizer = "radam", .lr = 0.02, .weight_decay = 1e-4},
      {.method = "q", .optimizer = "adamw", .expected_optimizer = "adamw", .lr = 0.001, .weight_decay = 5e-4},
      {.method = "q", .optimizer = "muon", .expected_optimizer = "muon", .lr = 0.03, .weight_decay = 0.1},
      {.method = "ps", .optimizer = "muon", .expected_optimizer = "muon", .lr = 0.03, .weight_decay = 5e-4}};
  for (const Defaults& defaults : all) {
    SCOPED_TRACE(defaults.method + " " + defaults.optimizer + (defaults.pretrained ? " pretrained" : ""));
    TrainOptions options;
    options.data = "data";
    options.method = defaults.method;
    if (!defaults.optimizer.empty()) options.optimizer = defaults.optimizer;
    if (defaults.pretrained) options.pretrained = "weights.safetensors";
    resolve(options);
    EXPECT_EQ(options.optimizer, defaults.expected_optimizer);
    EXPECT_EQ(options.lr, defaults.lr);
    EXPECT_EQ(options.weight_decay, defaults.weight_decay);
  }
}

}  // namespace
}  // namespace ds::apps
