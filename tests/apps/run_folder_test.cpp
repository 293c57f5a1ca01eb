#include "apps/common/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace ds::apps {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(RunFolder, MakesFoldersAndRefusesOneThatHoldsARun) {
  const test::TemporaryFolder temporary;
  const std::string path = temporary / "a/b";
  write_json(RunFolder::create(path).config(), {{"x", 1}});
  EXPECT_EQ(read_json(path + "/config.json").at("x"), 1);
  std::ofstream(RunFolder::create(path).metrics()) << "{}";  // it had saved nothing so far
  EXPECT_THAT(error_of([&] { RunFolder::create(path); }),
              AllOf(HasSubstr(path), HasSubstr("--resume"), HasSubstr("--output")));
}

TEST(RunFolder, OpensOnlyARun) {
  const test::TemporaryFolder temporary;
  EXPECT_THAT(error_of([&] { RunFolder::open(temporary.path()); }), HasSubstr("config.json"));
}

TEST(RunFolder, OpeningClearsAwayHalfWrittenFiles) {
  const test::TemporaryFolder temporary;
  const RunFolder created = RunFolder::create(temporary / "run");
  write_json(created.config(), {});
  const std::string leftover = created.last() + ".1234.0.part";
  std::ofstream(leftover) << "half";
  const std::string path = created.path();
  { const RunFolder closed = RunFolder::create(temporary / "other"); }
  EXPECT_THAT(error_of([&] { RunFolder::open(path); }), HasSubstr("in use"));
  EXPECT_TRUE(std::filesystem::exists(leftover)) << "another process may be writing it";
}

TEST(RunFolder, ClearsAwayAfterTheOtherProcessHasGone) {
  const test::TemporaryFolder temporary;
  std::string leftover;
  {
    const RunFolder created = RunFolder::create(temporary / "run");
    write_json(created.config(), {});
    leftover = created.last() + ".1234.0.part";
    std::ofstream(leftover) << "half";
  }
  const std::string foreign = temporary / "run/movie.part";
  std::ofstream(foreign) << "a download";
  std::filesystem::create_directory(temporary / "run/last.safetensors.1.0.part");
  const RunFolder opened = RunFolder::open(temporary / "run");
  EXPECT_FALSE(std::filesystem::exists(leftover));
  EXPECT_TRUE(std::filesystem::exists(foreign));
  EXPECT_TRUE(std::filesystem::exists(opened.config()));
}

TEST(RunFolder, AFileInTheWayIsAnError) {
  const test::TemporaryFolder temporary;
  std::ofstream(temporary / "file") << "x";
  EXPECT_THAT(error_of([&] { RunFolder::create(temporary / "file"); }), HasSubstr("file"));
  EXPECT_THAT(error_of([&] { RunFolder::create(temporary / "file/below"); }), HasSubstr("file/below"));
}

TEST(RunFolder, BrokenJsonNamesTheFile) {
  const test::TemporaryFolder temporary;
  std::ofstream(temporary / "x.json") << "{";
  EXPECT_THAT(error_of([&] { read_json(temporary / "x.json"); }), HasSubstr("x.json"));
  EXPECT_THAT(error_of([&] { read_json(temporary / "y.json"); }), HasSubstr("y.json"));
}

}  // namespace
}  // namespace ds::apps
