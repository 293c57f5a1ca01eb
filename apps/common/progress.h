// Progress of an epoch, or of other work: a bar that is redrawn on a terminal, a line for every tenth of the
// way elsewhere.
//
//   epoch  3/30  [#########---------]  52 %  loss 0.8123  accuracy 71.45 %  1423.1 images/s  0:08 left
//   convert  [#########---------]  52 %  layer2.1.conv1
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace ds::apps {

/// "0:08", "12:34", "1:02:03".
std::string format_duration(double seconds);

class Progress {
 public:
  /// What is known after a step.
  struct Status {
    double loss = 0.0;      // mean so far
    double accuracy = 0.0;  // of the training images so far, 0 to 1
  };

  /// `label` begins the line; `total` and `done` count images, or other steps.
  Progress(std::string label, int64_t total, int64_t done = 0, std::FILE* stream = stderr);

  /// Shows the state when it is time to.
  void update(int64_t done, const Status& status);
  /// The same for other work: `what` is being done.
  void step(int64_t done, const std::string& what);
  /// Clears the bar, so that the line can hold something else.
  void finish();
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  bool on_terminal() const { return on_terminal_; }
  /// The text for a state, without the bar's control characters.
  std::string line(int64_t done, const Status& status, double seconds) const;

 private:
  std::string bar(int64_t done) const;
  bool take_turn(int64_t done);
  void show(const std::string& text);

  std::string label_;
  int64_t total_;
  int64_t first_;  // images done before this run of the program
  std::FILE* stream_;
  bool on_terminal_;
  int64_t shown_tenths_;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point shown_;
};

}  // namespace ds::apps
