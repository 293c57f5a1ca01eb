#include "apps/common/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace ds::apps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// What was written to a stream that is no terminal.
class Output {
 public:
  std::FILE* stream() { return file_; }
  std::string text() {
    std::rewind(file_);
    std::array<char, 4096> buffer{};
    return {buffer.data(), std::fread(buffer.data(), 1, buffer.size(), file_)};
  }
  Output() : file_(std::tmpfile()) {}
  ~Output() { std::fclose(file_); }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

 private:
  std::FILE* file_;
};

TEST(Progress, DurationsReadLikeAClock) {
  EXPECT_EQ(format_duration(0.4), "0:00");
  EXPECT_EQ(format_duration(68.0), "1:08");
  EXPECT_EQ(format_duration(3723.0), "1:02:03");
  EXPECT_EQ(format_duration(-1.0), "?");
  EXPECT_EQ(format_duration(0.0 / 0.0), "?");
}

TEST(Progress, PlainLinesATenthApartWithoutControlCharacters) {
  Output output;
  Progress progress("epoch 1/2", 1000, 0, output.stream());
  for (int64_t done = 10; done <= 1000; done += 10) progress.update(done, {.loss = 0.5, .accuracy = 0.25});
  progress.finish();
  const std::string text = output.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_THAT(text, HasSubstr("epoch 1/2   10 %  loss 0.5000  accuracy 25.00 %"));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Progress, NamesWhatIsBeingDone) {
  Output output;
  Progress progress("convert", 4, 0, output.stream());
  for (int64_t done = 0; done < 4; ++done) progress.step(done, "layer " + std::to_string(done));
  progress.finish();
  EXPECT_EQ(output.text(), "convert   25 %  layer 1\nconvert   50 %  layer 2\nconvert   75 %  layer 3\n");
}

TEST(Progress, TheRateCountsOnlyWhatThisProcessDid) {
  Output output;
  const Progress progress("epoch", 1000, 500, output.stream());
  const std::string line = progress.line(600, {.loss = 1.0, .accuracy = 0.5}, 10.0);
  EXPECT_THAT(line, HasSubstr(" 60 %"));
  EXPECT_THAT(line, HasSubstr("10.0 images/s"));
  EXPECT_THAT(line, HasSubstr("0:40 left"));
}

}  // namespace
}  // namespace ds::apps
