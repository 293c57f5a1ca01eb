#include "apps/common/run_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "apps/common/run_folder.h"
#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::HasSubstr;

RunSummary summary() {
  return {.run = "a",
          .arch = "resnet20",
          .dataset = "cifar10",
          .method = "q5",
          .activation_bits = "8",
          .epochs = 12,
          .best_epoch = 11,
          .held_out = true,
          .test = {.correct = 9173, .total = 10000},
          .storage = {.weights = 268336, .bytes = 167710, .bits_per_weight = 5.0},
          .seconds = 61.25,
          .peak_memory = 800000000};
}

TEST(RunSummary, IsReadBackFromItsFolder) {
  const test::TemporaryFolder temporary;
  std::filesystem::create_directory(temporary / "a");
  write_json(temporary / "a/summary.json", to_json(summary()));
  for (const char* folder : {"a", "a/"}) {
    const RunSummary read = read_summary(temporary / folder);
    EXPECT_EQ(read.run, "a");
    EXPECT_EQ(to_json(read), to_json(summary()));
  }
}

TEST(RunSummary, OfAnEarlierVersionIsRead) {
  const test::TemporaryFolder temporary;
  nlohmann::ordered_json json = to_json(summary());
  json.erase("peak_memory_bytes");
  write_json(temporary / "summary.json", json);
  EXPECT_EQ(read_summary(temporary.path()).peak_memory, 0);
}

TEST(RunSummary, ARunThatHasNotEndedIsAnError) {
  const test::TemporaryFolder temporary;
  try {
    read_summary(temporary.path());
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(temporary.path() + "/summary.json"));
  }
}

TEST(RunSummary, TablesAlignTheirColumns) {
  EXPECT_EQ(format_table({{"run", "n"}, {"a", "1000"}}, false), "run  n\na    1000\n");
  EXPECT_EQ(format_table({{"run", "n"}, {"a", "1000"}}, true),
            "| run | n    |\n|-----|------|\n| a   | 1000 |\n");
}

TEST(RunSummary, ComparesEverythingThatMatters) {
  const std::string table = compare({summary()}, true);
  for (const char* cell : {"| a ", "| q5 ", "| 91.73 % ", "| 9173/10000 ", "| 5.00 ", "| 167710 ", "| 61.2 ",
                           "| 11 of 12, held out "}) {
    EXPECT_THAT(table, HasSubstr(cell));
  }
}

}  // namespace
}  // namespace ds::apps
