#include "autograd/optim/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/optim/sgd.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::HasSubstr;

class Schedules : public testing::Test {
 protected:
  /// Steps through 20 epochs beside PyTorch's schedule of this name.
  void expect_golden(const std::string& name, Schedule& schedule) {
    const auto expected =
        SafetensorsFile(fixture("optim.safetensors")).read("schedule/" + name).to_vector<double>();
    ASSERT_EQ(expected.size(), 20U);
    for (size_t epoch = 0; epoch < expected.size(); ++epoch) {
      EXPECT_NEAR(optimizer_.lr(), expected[epoch], 1e-12) << name << " at epoch " << epoch;
      schedule.step();
    }
  }

  Sgd optimizer_{{leaf({1})}, {.lr = 0.5}};
};

TEST_F(Schedules, StepFollowsPyTorch) {
  StepSchedule schedule(optimizer_, {.step_size = 6, .gamma = 0.3});
  expect_golden("step", schedule);
}

TEST_F(Schedules, MultiStepFollowsPyTorch) {
  MultiStepSchedule schedule(optimizer_, {.milestones = {5, 9, 16}, .gamma = 0.2});
  expect_golden("multi_step", schedule);
}

TEST_F(Schedules, CosineFollowsPyTorch) {
  CosineSchedule schedule(optimizer_, {.epochs = 20, .min_lr = 0.01});
  expect_golden("cosine", schedule);
}

TEST_F(Schedules, OneCycleFollowsPyTorch) {
  OneCycleSchedule schedule(optimizer_,
                            {.epochs = 19, .pct_start = 5.0 / 19.0});  // PyTorch's T - 1 and 0.3 T - 1
  expect_golden("one_cycle", schedule);
}

TEST_F(Schedules, CosineWarmsUpLinearlyAndEndsAtItsLowest) {
  CosineSchedule schedule(optimizer_, {.epochs = 30, .warmup_epochs = 2});
  EXPECT_DOUBLE_EQ(optimizer_.lr(), 0.05);
  schedule.step();
  EXPECT_DOUBLE_EQ(optimizer_.lr(), 0.275);
  schedule.step();
  EXPECT_DOUBLE_EQ(optimizer_.lr(), 0.5);
  EXPECT_DOUBLE_EQ(schedule.lr_at(16), 0.25);
  EXPECT_DOUBLE_EQ(schedule.lr_at(1.5), 0.3875);
  EXPECT_NEAR(schedule.lr_at(30), 0.0, 1e-16);
  EXPECT_NEAR(schedule.lr_at(100), 0.0, 1e-16);
}

TEST_F(Schedules, ResumeFromTheEpochAlone) {
  CosineSchedule whole(optimizer_, {.epochs = 10, .warmup_epochs = 1});
  for (int i = 0; i < 4; ++i) whole.step();
  const double expected = optimizer_.lr();
  Sgd fresh({leaf({1})}, {.lr = 0.5});
  CosineSchedule resumed(fresh, {.epochs = 10, .warmup_epochs = 1});
  resumed.set_epoch(whole.epoch());
  EXPECT_EQ(fresh.lr(), expected);
}

TEST_F(Schedules, StartFromTheRateThatWasSet) {
  CosineSchedule first(optimizer_, {.epochs = 10});
  first.set_epoch(10);
  ASSERT_NEAR(optimizer_.lr(), 0.0, 1e-12);
  CosineSchedule second(optimizer_, {.epochs = 10});
  EXPECT_DOUBLE_EQ(second.base_lr(), 0.5);
  EXPECT_DOUBLE_EQ(optimizer_.lr(), 0.5);
  optimizer_.set_lr(0.2);
  EXPECT_DOUBLE_EQ(StepSchedule(optimizer_, {}).base_lr(), 0.2);
}

TEST_F(Schedules, CheckTheirOptions) {
  EXPECT_THAT(error_of([&] { StepSchedule(optimizer_, {.step_size = 0}); }), HasSubstr("step_size is 0"));
  EXPECT_THAT(error_of([&] {
                MultiStepSchedule(optimizer_, {.milestones = {5, 3}});
              }),
              HasSubstr("ascending"));
  EXPECT_THAT(error_of([&] { CosineSchedule(optimizer_, {.epochs = 2, .warmup_epochs = 2}); }),
              HasSubstr("warm-up of 2"));
  EXPECT_THAT(error_of([&] { OneCycleSchedule(optimizer_, {.pct_start = 1.0}); }), HasSubstr("rising for 1"));
  CosineSchedule schedule(optimizer_, {.epochs = 2});
  EXPECT_THAT(error_of([&] { schedule.set_epoch(std::nan("")); }), HasSubstr("epoch is nan"));
}

}  // namespace
}  // namespace ds::test
