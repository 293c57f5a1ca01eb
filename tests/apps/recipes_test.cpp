#include "apps/common/recipes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "apps/common/task.h"
#include "apps/common/train_options.h"
#include "core/error.h"
#include "tests/support/photographs.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::HasSubstr;

class Recipes : public ::testing::Test {
 protected:
  Recipes() {
    options_.dataset = kImageFolder;
    options_.arch = "resnet18";
    add_train_options(table_, options_, {kImageFolder});
  }
  std::string error_of(const std::string& text) {
    const std::string path = folder_ / "recipe.json";
    test::write_text(path, text);
    try {
      table_.take_defaults(read_recipe(path), path);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  CLI::App app_;
  OptionTable table_{app_};
  TrainOptions options_;
};

TEST_F(Recipes, BuiltInOnesFitTheOptions) {
  ASSERT_GE(recipe_names().size(), 5U);
  for (const std::string& name : recipe_names()) {
    CLI::App app;
    OptionTable table(app);
    TrainOptions options = options_;
    add_train_options(table, options, {kImageFolder});
    table.take_defaults(read_recipe(name), name);
    options.data = folder_.path();
    EXPECT_NO_THROW(resolve(options)) << name;
    EXPECT_NO_THROW(check_effective(table, options)) << name;
    EXPECT_TRUE(table.given("epochs")) << name;
  }
}

TEST_F(Recipes, ThePapersPretrainedOne) {
  table_.take_defaults(read_recipe("deepshift-q-pretrained"), "recipe");
  EXPECT_EQ(options_.method, "q");
  EXPECT_EQ(options_.epochs, 15);
  EXPECT_EQ(options_.lr, 1e-3);
  EXPECT_EQ(options_.step_epochs, 5);
}

TEST_F(Recipes, TheCommandLineComesFirst) {
  app_.parse("--lr 0.5");
  table_.take_defaults(read_recipe("deepshift-ps-scratch"), "recipe");
  EXPECT_EQ(options_.lr, 0.5);
  EXPECT_EQ(options_.optimizer, "radam");
}

TEST_F(Recipes, FilesMayHaveListsFlagsAndComments) {
  EXPECT_EQ(error_of("// ours\n{\"schedule\": \"multistep\", \"milestones\": [3, 5], \"nesterov\": true}"),
            "no error");
  EXPECT_EQ(options_.milestones, (std::vector<int64_t>{3, 5}));
  EXPECT_TRUE(options_.nesterov);
}

TEST_F(Recipes, NameWhatIsWrong) {
  EXPECT_THAT(error_of("{\"learning-rate\": 1}"), HasSubstr("unknown option 'learning-rate'"));
  EXPECT_THAT(error_of("{\"epochs\": -3}"), HasSubstr("epochs"));
  EXPECT_THAT(error_of("{\"method\": \"r\"}"), HasSubstr("method"));
  EXPECT_THAT(error_of("[1]"), HasSubstr("not an object"));
  EXPECT_THAT(error_of("{\"epochs\": "), HasSubstr("recipe.json"));
  EXPECT_THROW(read_recipe("deepshift-r"), Error);
}

}  // namespace
}  // namespace ds::apps
