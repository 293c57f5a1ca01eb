#include "data/synthetic.h"

#include <gtest/gtest.h>

#include <set>

#include "autograd/functions.h"
#include "autograd/optim/sgd.h"
#include "core/error.h"
#include "core/random.h"
#include "data/cifar.h"
#include "data/loader.h"
#include "layers/flatten.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/evaluate.h"
#include "tests/support/scoped.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

/// FNV-1a.
uint64_t hash_of(const Tensor& images) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const uint8_t byte : images.span<uint8_t>()) hash = (hash ^ byte) * 0x100000001B3;
  return hash;
}

TEST(Synthetic, IsTheSameOnEveryMachine) {
  const SyntheticData data = make_synthetic({.train = 200, .test = 50});
  EXPECT_EQ(hash_of(data.train.images), 996950572134961583U);
  EXPECT_EQ(hash_of(data.test.images), 16639090022863864323U);
}

// It must take more than that to learn them.
TEST(Synthetic, ALinearClassifierStaysUnder60Percent) {
  manual_seed(1);
  const SyntheticData data = make_synthetic({.train = 2000, .test = 500});
  const Normalization normalization{{0.5F, 0.5F, 0.5F}, {0.25F, 0.25F, 0.25F}};
  DataLoader train(data.train, {.batch = 50, .shuffle = true, .normalization = normalization});
  DataLoader test(data.test, {.batch = 100, .normalization = normalization});
  const auto net = sequential(std::make_shared<Flatten>(), std::make_shared<Linear>(32 * 32 * 3, 10));
  Sgd optimizer(net->parameters(), {.lr = 1e-3, .momentum = 0.9});
  for (int epoch = 0; epoch < 5; ++epoch) {
    for (const auto& [images, labels] : train) {
      optimizer.zero_grad();
      cross_entropy((*net)(images), labels).backward();
      optimizer.step();
    }
  }
  EXPECT_GT(accuracy(*net, train), 0.3) << "it learns what it sees";
  EXPECT_LT(accuracy(*net, test), 0.6);
}

TEST(Synthetic, ImagesDependOnSeedSplitAndPositionAlone) {
  const SyntheticData data = make_synthetic({.train = 40, .test = 40});
  const SyntheticData fewer = make_synthetic({.train = 10, .test = 0});
  EXPECT_EQ(fewer.train.images.to_vector<uint8_t>(), data.train.images.slice(0, 10).to_vector<uint8_t>());
  EXPECT_EQ(fewer.test.size(), 0);
  std::set<uint64_t> different;
  for (const Dataset& set : {data.train, data.test, make_synthetic({.train = 40, .seed = 2}).train}) {
    for (int64_t i = 0; i < 40; ++i) different.insert(hash_of(set.images.slice(i, i + 1)));
  }
  EXPECT_EQ(different.size(), 120U);
}

TEST(Synthetic, DoesNotDependOnTheNumberOfThreads) {
  const auto draw_with = [](int threads) {
    const test::ScopedThreads scope(threads);
    return make_synthetic({.train = 60, .test = 0}).train.images.to_vector<uint8_t>();
  };
  EXPECT_EQ(draw_with(1), draw_with(2));
}

TEST(Synthetic, HasTenBalancedClassesAndFitsTheCifarFormat) {
  const SyntheticData data = make_synthetic({.train = 30, .test = 20});
  std::vector<int> counts(10);
  for (const int64_t label : data.train.labels.span<int64_t>()) ++counts.at(static_cast<size_t>(label));
  EXPECT_EQ(counts, std::vector<int>(10, 3));
  const test::TemporaryFolder folder;
  write_cifar10(folder.path(), data.train, data.test);
  const Dataset read = cifar10(folder.path(), Split::kTrain);
  EXPECT_EQ(read.images.to_vector<uint8_t>(), data.train.images.to_vector<uint8_t>());
  EXPECT_EQ(read.classes, data.train.classes);
  EXPECT_EQ(read.classes.at(7), "stripes");
}

TEST(Synthetic, RefusesANegativeNumber) { EXPECT_THROW(make_synthetic({.train = -1}), Error); }

}  // namespace
}  // namespace ds
