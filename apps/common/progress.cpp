#include "apps/common/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "apps/common/app.h"

namespace ds::apps {

namespace {

constexpr int kBarWidth = 20;
constexpr auto kRedrawInterval = std::chrono::milliseconds(100);

}  // namespace

std::string format_duration(double seconds) {
  if (!(seconds >= 0.0 && seconds < 1e9)) return "?";
  const auto total = std::llround(seconds);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

Progress::Progress(std::string label, int64_t total, int64_t done, std::FILE* stream)
    : label_(std::move(label)),
      total_(std::max<int64_t>(total, 1)),
      first_(done),
      stream_(stream),
      on_terminal_(isatty(fileno(stream)) == 1),
      shown_tenths_(10 * done / total_),
      start_(std::chrono::steady_clock::now()),
      shown_(start_) {}

std::string Progress::line(int64_t done, const Status& status, double seconds) const {
  const double rate = static_cast<double>(done - first_) / seconds;
  const double left = static_cast<double>(total_ - done) / rate;
  return fmt::format("{}  loss {:.4f}  accuracy {:5.2f} %  {:.1f} images/s  {} left", bar(done), status.loss,
                     100.0 * status.accuracy, rate, format_duration(left));
}

std::string Progress::bar(int64_t done) const {
  const auto filled = static_cast<size_t>(std::clamp<int64_t>(kBarWidth * done / total_, 0, kBarWidth));
  const std::string drawn =
      on_terminal_ ? fmt::format("[{:-<{}}]  ", std::string(filled, '#'), kBarWidth) : "";
  return fmt::format("{}  {}{:3} %", label_, drawn, 100 * done / total_);
}

/// Whether it is time to show something, which is then said to be shown.
bool Progress::take_turn(int64_t done) {
  const auto now = std::chrono::steady_clock::now();
  const int64_t tenths = 10 * done / total_;
  if (on_terminal_ ? now - shown_ < kRedrawInterval : tenths == shown_tenths_) return false;
  shown_ = now;
  shown_tenths_ = tenths;
  return true;
}

void Progress::update(int64_t done, const Status& status) {
  if (!take_turn(done)) return;
  const double seconds = std::chrono::duration<double>(shown_ - start_).count();
  show(line(done, status, seconds));
}

void Progress::step(int64_t done, const std::string& what) {
  if (take_turn(done)) show(fmt::format("{}  {}", bar(done), what));
}

void Progress::finish() {
  if (on_terminal_) show("");
}

void Progress::show(const std::string& text) {
  say(stream_, on_terminal_ ? "\r" + text + "\x1b[K" : text + "\n");
}

}  // namespace ds::apps
