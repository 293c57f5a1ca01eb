#include "apps/common/option_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace ds::apps {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Options {
  double lr = 0.1;
  int threads = 2;
  std::optional<double> decay;
  std::vector<double> mean;
  bool nesterov = false;
  std::string output = "out";
};

struct Fixture {
  CLI::App app{"test", "test"};
  OptionTable table{app};
  Options options;

  explicit Fixture(const std::string& line = "") {
    table.group("Group");
    table.add("lr", options.lr, "rate", Effect::kResults)->check(above_zero());
    table.add("threads", options.threads, "threads", Effect::kResources)->check(between(1, 8));
    table.add("decay", options.decay, "decay", Effect::kResults);
    table.add("mean", options.mean, "mean", Effect::kResults)->expected(1, 3)->delimiter(',');
    table.add("nesterov", options.nesterov, "flag", Effect::kResults);
    table.add("output", options.output, "folder", Effect::kCall);
    app.parse(line);
  }
};

TEST(OptionTable, ParsesEveryKindOfOption) {
  const Fixture f("--lr 0.5 --decay 1e-4 --mean 0.1,0.2,0.3 --nesterov");
  EXPECT_EQ(f.options.lr, 0.5);
  EXPECT_EQ(f.options.decay, 1e-4);
  EXPECT_THAT(f.options.mean, ::testing::ElementsAre(0.1, 0.2, 0.3));
  EXPECT_TRUE(f.options.nesterov);
  EXPECT_TRUE(f.table.given("lr"));
  EXPECT_FALSE(f.table.given("threads"));
}

TEST(OptionTable, NumbersAreDecimalAndFit) {
  for (const char* line :
       {"--threads 010", "--threads 0x2", "--lr 0x1p1", "--threads 99999999999999999999", "--lr nan"}) {
    EXPECT_THROW(Fixture{line}, CLI::ValidationError) << line;
  }
  EXPECT_EQ(Fixture("--lr 0.5").options.lr, 0.5);
  EXPECT_EQ(Fixture("--lr 5e-3").options.lr, 5e-3);
}

TEST(OptionTable, ValuesCanBeTheSameInOtherWords) {
  Fixture given("--lr 2");
  given.table.compare_by("lr", [](const nlohmann::json& lr) { return nlohmann::json(lr.get<int>()); });
  EXPECT_NO_THROW(given.table.merge({{"lr", 2.5}}, "run"));
  EXPECT_THROW(given.table.merge({{"lr", 3.0}}, "run"), Error);
}

TEST(OptionTable, FindsOptionsThatDoNotBelong) {
  const Fixture f("--lr 0.5 --nesterov");
  EXPECT_EQ(f.table.first_given_beside({"nesterov"}), "lr");
  EXPECT_EQ(f.table.first_given_beside({"nesterov", "lr", "output"}), "");
}

TEST(OptionTable, RecipeHoldsOnlyWhatChangesResults) {
  const Fixture f("--decay 0.5");
  EXPECT_EQ(f.table.all().dump(), R"({"decay":0.5,"lr":0.1,"mean":[],"nesterov":false,"threads":2})");
  EXPECT_EQ(f.table.recipe().dump(), R"({"decay":0.5,"lr":0.1,"mean":[],"nesterov":false})");
}

TEST(OptionTable, StoredValuesFillWhatIsNotGiven) {
  const Fixture before("--lr 0.3 --threads 4 --mean 0.5,0.25 --nesterov");
  Fixture after("--threads 1");
  after.table.merge(nlohmann::json::parse(before.table.all().dump()), "run");
  EXPECT_EQ(after.table.recipe(), before.table.recipe());
  EXPECT_EQ(after.options.lr, 0.3);
  EXPECT_EQ(after.options.threads, 1) << "given, and free to change";
  EXPECT_FALSE(after.options.decay.has_value());
}

TEST(OptionTable, ADifferentRecipeIsAnErrorThatNamesBothValues) {
  const Fixture before("--lr 0.3");
  Fixture after("--lr 0.4");
  try {
    after.table.merge(before.table.all(), "runs/a");
    FAIL() << "expected an Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--lr 0.4"), HasSubstr("0.3"), HasSubstr("runs/a")));
  }
}

TEST(OptionTable, TheSameOrAnAllowedDifferencePasses) {
  const Fixture before("--lr 0.3");
  Fixture same("--lr 0.3");
  EXPECT_NO_THROW(same.table.merge(before.table.all(), "run"));
  Fixture other("--lr 0.4");
  EXPECT_NO_THROW(other.table.merge(before.table.all(), "run", {"lr"}));
  EXPECT_EQ(other.options.lr, 0.4);
}

TEST(OptionTable, StoredValuesOfTheWrongTypeAreAnError) {
  Fixture f;
  EXPECT_THROW(f.table.merge({{"lr", "fast"}}, "run"), Error);
}

TEST(Validators, RejectWhatIsNoNumberOrOutOfRange) {
  for (const char* line : {"--lr 0", "--lr -1", "--lr nan", "--lr inf", "--lr abc", "--lr 1x", "--threads 0",
                           "--threads 9", "--threads nan", "--threads 2.5"}) {
    EXPECT_THROW(Fixture f(line), CLI::ParseError) << line;
  }
}

TEST(Validators, SayWhatWasFoundAndExpected) {
  try {
    Fixture f("--threads 9");
    FAIL() << "expected an error";
  } catch (const CLI::ParseError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--threads"), HasSubstr("found 9"), HasSubstr("1 to 8")));
  }
  EXPECT_THAT(one_of({"a", "b"})("c"), AllOf(HasSubstr("'c'"), HasSubstr("a|b")));
}

}  // namespace
}  // namespace ds::apps
