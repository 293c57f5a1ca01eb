#include "core/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "tests/support/temporary_folder.h"

namespace ds {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int64_t files_in(const std::string& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator());
}

/// The message of the error that writing gives; empty when it succeeds.
std::string error_of(const std::string& path, std::string_view content) {
  try {
    write_file_atomically(path, content);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// While it lives, no file of this process may grow beyond a size: what a full disk looks like.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    const rlimit limit = {bytes, previous_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  sighandler_t handler_;
  rlimit previous_ = {};
};

TEST(AtomicFile, ReplacesTheContentAndLeavesNothingBeside) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  write_file_atomically(path, "old");
  write_file_atomically(path, std::string_view("n\0w", 3));
  EXPECT_EQ(contents(path), std::string("n\0w", 3));
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, KeepsTheOldContentWhenTheDiskIsFull) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  write_file_atomically(path, "old");
  std::string message;
  {
    const FileSizeLimit limit(1000);
    message = error_of(path, std::string(5000, 'x'));
  }
  EXPECT_THAT(message, AllOf(HasSubstr(path), HasSubstr("cannot be written: File too large")));
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(AtomicFile, KeepsTheOldContentWhenItIsNotCommitted) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "file";
  write_file_atomically(path, "old");
  {
    AtomicFile file(path);
    file.write("new", 3);
    EXPECT_EQ(files_in(folder.path()), 2);
  }
  EXPECT_EQ(contents(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

/// What a signal's handler does.
TEST(AtomicFile, CanBeRemovedUnfinished) {
  const test::TemporaryFolder folder;
  const AtomicFile first(folder / "first");
  {
    AtomicFile done(folder / "done");
    const AtomicFile given_up(folder / "given up");
    done.commit();
  }
  EXPECT_EQ(files_in(folder.path()), 2);
  remove_unfinished_files();
  EXPECT_EQ(files_in(folder.path()), 1);
  EXPECT_TRUE(std::filesystem::exists(folder / "done"));
}

TEST(AtomicFile, SaysBeforehandWhetherItCanBeWritten) {
  const test::TemporaryFolder folder;
  write_file_atomically(folder / "file", "old");
  check_can_be_written(folder / "file");
  check_can_be_written(folder / "other");
  EXPECT_EQ(contents(folder / "file"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
  EXPECT_THROW(check_can_be_written(folder / "absent/file"), Error);
}

TEST(AtomicFile, CopiesAWholeFileOrNone) {
  const test::TemporaryFolder folder;
  const std::string content((size_t{3} << 20) + 1, 'x');
  write_file_atomically(folder / "from", content);
  write_file_atomically(folder / "to", "old");
  copy_file_atomically(folder / "from", folder / "to");
  EXPECT_EQ(contents(folder / "to"), content);
  EXPECT_THROW(copy_file_atomically(folder / "absent", folder / "to"), Error);
  EXPECT_THROW(copy_file_atomically(folder.path(), folder / "to"), Error);  // a folder
  EXPECT_EQ(contents(folder / "to"), content);
  EXPECT_EQ(files_in(folder.path()), 2);
}

TEST(AtomicFile, ReplacesWhatALinkLeadsTo) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "models");
  std::filesystem::create_symlink("models/a", folder / "link");
  std::filesystem::create_symlink(folder / "link", folder / "far");
  for (const char* content : {"first", "second"}) {  // at first the link leads to nothing
    write_file_atomically(folder / "far", content);
    EXPECT_EQ(contents(folder / "models/a"), content);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "far"));
  }
  std::filesystem::create_symlink("round", folder / "round");
  EXPECT_THAT(error_of(folder / "round", "x"), HasSubstr("round: its links lead nowhere"));
}

TEST(AtomicFile, LeavesWhatIsNoRegularFile) {
  const test::TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(error_of(pipe, "x"), HasSubstr("pipe: is there already"));
  EXPECT_THAT(error_of(folder.path(), "x"), HasSubstr("no regular file"));
  EXPECT_THAT(error_of("", "x"), HasSubstr("no name"));
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
}

TEST(AtomicFile, NamesThePathAndTheReason) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(error_of(folder / "absent/file", "x"),
              AllOf(HasSubstr(folder / "absent/file"), HasSubstr("cannot be created: No such file")));
  write_file_atomically(folder / "file", "x");
  EXPECT_THAT(error_of(folder / "file/below", "x"), HasSubstr("Not a directory"));
  EXPECT_EQ(files_in(folder.path()), 1);
}

}  // namespace
}  // namespace ds
