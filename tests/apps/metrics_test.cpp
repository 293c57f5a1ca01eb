#include "apps/common/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>

#include "apps/common/run_state.h"
#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

EpochRecord record(int64_t epoch) {
  return {.epoch = epoch,
          .loss = 1.0 / 3.0,
          .train_accuracy = 0.7,
          .evaluated = {.correct = 9173, .total = 10000, .loss = 0.3},
          .held_out = epoch % 2 == 0,
          .lr = 0.1,
          .seconds = 12.5,
          .images_per_s = 4000.0};
}

TEST(Metrics, ScoresAreCountsAndPercent) {
  EXPECT_EQ(score({.correct = 9173, .total = 10000}), "9173/10000 (91.73 %)");
  EXPECT_EQ(score({.correct = 1, .total = 3}), "1/3 (33.33 %)");
}

TEST(Metrics, ReportsAccuracyWithWilsonsInterval) {
  // Bounds computed with scipy.stats.binomtest(k, n).proportion_ci(method="wilson").
  EXPECT_EQ(accuracy_report({.correct = 222, .total = 334, .correct5 = 283}),
            "top-1 222/334 (66.47 %), 95 % interval 61.2 to 71.3 %\n"
            "top-5 283/334 (84.73 %), 95 % interval 80.5 to 88.2 %");
  EXPECT_EQ(accuracy_report({.correct = 0, .total = 10}), "top-1 0/10 (0.00 %), 95 % interval 0.0 to 27.8 %");
}

TEST(Metrics, LinesSurviveBeingWrittenAndRead) {
  const test::TemporaryFolder temporary;
  const std::string text = to_jsonl({record(1), record(2)});
  std::ofstream(temporary / "metrics.jsonl") << text;
  EXPECT_EQ(to_jsonl(read_jsonl(temporary / "metrics.jsonl")), text);
  EXPECT_THAT(text, HasSubstr("\"test_accuracy\":0.9173"));
  EXPECT_THAT(text, HasSubstr("\"holdout_accuracy\":0.9173"));
}

TEST(Metrics, ALossThatIsNotFiniteComesBackAsOne) {
  EpochRecord written = record(1);
  written.evaluated.loss = std::numeric_limits<double>::infinity();
  const EpochRecord read = EpochRecord::from_json(nlohmann::json::parse(written.to_json(true).dump()));
  EXPECT_TRUE(std::isnan(read.evaluated.loss));
  EXPECT_EQ(read.evaluated.correct, written.evaluated.correct);
}

TEST(Metrics, TheBestEpochIsTheFirstWithTheMostRightHeldOutImages) {
  std::vector<EpochRecord> records;
  EXPECT_EQ(best_epoch(records), 0);
  for (const int64_t correct : {3, 7, 7, 5}) {
    records.push_back(record(static_cast<int64_t>(records.size()) + 1));
    records.back().held_out = true;
    records.back().evaluated.correct = correct;
  }
  EXPECT_EQ(best_epoch(records), 2);
  for (EpochRecord& one : records) one.held_out = false;
  EXPECT_EQ(best_epoch(records), 4);
}

TEST(Metrics, AHalfLineNamesFileAndLine) {
  const test::TemporaryFolder temporary;
  const std::string text = to_jsonl({record(1), record(2)});
  std::ofstream(temporary / "metrics.jsonl") << text.substr(0, text.size() - 20);
  try {
    read_jsonl(temporary / "metrics.jsonl");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("metrics.jsonl: line 2"));
  }
}

TEST(Metrics, CurvesHaveAPointAnEpoch) {
  const auto charts = training_curves({record(1), record(3)});
  ASSERT_EQ(charts.size(), 2U);
  EXPECT_THAT(charts[0].x, ::testing::ElementsAre(1.0, 3.0));
  EXPECT_EQ(charts[1].series[1].name, "test");
  EXPECT_NEAR(charts[1].series[1].values[0], 91.73, 1e-9);
}

TEST(RunState, EveryBitComesBackButTheTimingsOfFinishedEpochs) {
  RunState state;
  state.partial = {.loss_sum = 0.1 + 0.2, .correct = 3, .images = 7, .seconds = 1.0 / 7.0};
  state.records = {record(1), record(2)};
  state.best_epoch = 2;
  state.train_images = 50000;
  state.ema_updates = 11;
  state.recipe = {{"lr", 0.1}};
  RunState read = RunState::from_json(state.to_json(), "file");
  EXPECT_EQ(read.to_json(), state.to_json());
  EXPECT_EQ(read.partial.loss_sum, 0.1 + 0.2);
  EXPECT_EQ(read.records[1].seconds, 0.0);
  read.take_timings({record(1), record(2), record(3)});
  EXPECT_EQ(to_jsonl(read.records), to_jsonl(state.records));
}

TEST(RunState, BrokenTextNamesTheFile) {
  for (const char* text : {"", "{", "{}", R"({"recipe":{},"records":[1]})"}) {
    try {
      RunState::from_json(text, "last.safetensors");
      FAIL() << "expected an Error for " << text;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("last.safetensors"));
    }
  }
}

}  // namespace
}  // namespace ds::apps
