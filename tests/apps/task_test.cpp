#include "apps/common/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/error.h"
#include "data/cifar.h"
#include "data/synthetic.h"
#include "tests/support/photographs.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

class Task : public ::testing::Test {
 protected:
  void SetUp() override {
    const SyntheticData data = make_synthetic({.train = 60, .test = 20});
    write_cifar10(folder_.path(), data.train, data.test);
    options_.data = folder_.path();
    options_.dataset = "cifar10";
  }

  /// The first pixels of each image, to tell images apart.
  static std::set<std::string> images(const Dataset& data) {
    std::set<std::string> result;
    for (int64_t i = 0; i < data.size(); ++i) {
      const auto pixels = data.images.slice(i, i + 1).to_vector<uint8_t>();
      result.emplace(pixels.begin(), pixels.begin() + 300);
    }
    return result;
  }

  test::TemporaryFolder folder_;
  TrainOptions options_;
};

TEST_F(Task, WithoutHeldOutImagesTheTestImagesAreEvaluated) {
  const TaskData task = load_task(options_);
  EXPECT_EQ(task.train.size(), 60);
  EXPECT_EQ(images(task.evaluation), images(task.test));
}

TEST_F(Task, HeldOutImagesAreTrainingImagesThatAreNotTrainedOn) {
  const auto all = images(load_task(options_).train);
  options_.holdout = 15;
  const TaskData task = load_task(options_);
  EXPECT_EQ(task.train.size(), 45);
  EXPECT_EQ(task.evaluation.size(), 15);
  auto both = images(task.train);
  both.merge(images(task.evaluation));
  EXPECT_EQ(both, all);
  EXPECT_EQ(images(load_task(options_).evaluation), images(task.evaluation));
  options_.seed = 2;
  EXPECT_NE(images(load_task(options_).evaluation), images(task.evaluation));
}

TEST_F(Task, HoldingOutEverythingIsAnError) {
  options_.holdout = 60;
  EXPECT_THROW(load_task(options_), Error);
}

TEST_F(Task, LimitsTheTrainingImages) {
  options_.limit_train = 7;
  EXPECT_EQ(load_task(options_).train.size(), 7);
}

TEST(Normalization, OneValueStandsForAllChannels) {
  EXPECT_THAT(given_normalization({0.5}, {0.25}, 3).mean, ElementsAre(0.5F, 0.5F, 0.5F));
  EXPECT_TRUE(given_normalization({}, {}, 3).mean.empty());
  EXPECT_THROW(given_normalization({0.5, 0.5}, {0.25, 0.25}, 3), Error);
  EXPECT_THROW(given_normalization({0.5}, {}, 3), Error);
}

TEST(Normalization, IsWrittenAsItIsTyped) {
  EXPECT_THAT(as_printed({0.4914F, 1.0F / 3.0F}), ElementsAre(0.4914, ::testing::DoubleEq(0.33333334)));
  EXPECT_THAT(given_normalization({0.4914}, {0.2}, 1).mean, ElementsAre(FloatEq(0.4914F)));
}

/// Fine-tuning on a part of a network's classes, or in another order, keeps what each output means.
TEST(PhotographTask, TakesTheLabelsOfANetworkThatKnowsItsClasses) {
  const test::TemporaryFolder folder;
  for (const char* name : {"train/n01/a.ppm", "train/n03/b.ppm", "val/n03/c.ppm"})
    test::write_photograph(folder / name, 8, 8, 100);
  TrainOptions options{.data = folder.path(), .dataset = kImageFolder, .image_size = 8};
  const std::vector<std::string> known = {"n03", "n02", "n01"};
  const auto labels = [&](const std::vector<std::string>& names) {
    return load_task(options, names).train.labels.to_vector<int64_t>();
  };
  EXPECT_THAT(labels(known), ElementsAre(0, 1)) << "a last layer of its own for two classes";
  EXPECT_THAT(labels({"n03", "n01"}), ElementsAre(1, 0));
  options.classes = 3;
  EXPECT_THAT(labels(known), ElementsAre(2, 0));
  const TaskData task = load_task(options, known);
  EXPECT_EQ(task.train.classes, known);
  EXPECT_THAT(task.test.labels.to_vector<int64_t>(), ElementsAre(0));
  EXPECT_THAT(labels({"n04", "n02", "n01"}), ElementsAre(0, 1)) << "n03 is of other classes";
  EXPECT_THAT(labels({"n03", "n01", "n01"}), ElementsAre(0, 1)) << "n01 is two of them";
}

TEST(PhotographTask, TakesTheLabelsOfANetworkForTheNamesOfATable) {
  const test::TemporaryFolder folder;
  test::write_text(folder / "train/labels.csv",
                   "file,class_index,class_name\na.ppm,0,crane\na.ppm,1,tench\n");
  test::write_text(folder / "val/labels.csv", "file,class_index\na.ppm,1\n");
  for (const char* name : {"train/a.ppm", "val/a.ppm"}) test::write_photograph(folder / name, 8, 8, 100);
  TrainOptions options{.data = folder.path(), .dataset = kImageFolder, .image_size = 8};
  const TaskData task = load_task(options, {"tench", "crane"});
  EXPECT_THAT(task.train.labels.to_vector<int64_t>(), ElementsAre(1, 0));
  EXPECT_THAT(task.test.labels.to_vector<int64_t>(), ElementsAre(0));
  test::write_text(folder / "val/labels.csv", "file,class_index\na.ppm,2\n");
  EXPECT_THROW(load_task(options), Error);
  options.classes = 3;
  EXPECT_THAT(load_task(options).test.labels.to_vector<int64_t>(), ElementsAre(2));
}

}  // namespace
}  // namespace ds::apps
