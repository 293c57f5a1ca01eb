#include "apps/common/interrupt.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "apps/common/app.h"
#include "core/atomic_file.h"

namespace ds::apps {

namespace {

constexpr double kRepetitionSeconds = 0.5;
constexpr std::array kCaught = {SIGINT, SIGTERM, SIGHUP};

volatile sig_atomic_t g_interrupted = 0;
timespec g_first{};  // when it was; written before g_interrupted is set, read only by the handler

void note_interrupt(int) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (g_interrupted == 0) {
    g_first = now;
    g_interrupted = 1;
    return;
  }
  const double seconds = static_cast<double>(now.tv_sec - g_first.tv_sec) +
                         1e-9 * static_cast<double>(now.tv_nsec - g_first.tv_nsec);
  if (seconds < kRepetitionSeconds) return;
  remove_unfinished_files();
  _exit(kExitInterrupted);
}

void clean_up_and_end(int signal) {
  remove_unfinished_files();
  ::signal(signal, SIG_DFL);
  raise(signal);  // arrives when this handler is left
}

/// But for signals that the process was started to ignore: SIGHUP, by nohup(1), and where `all` says so any,
/// as a shell's background jobs do with SIGINT.
void catch_with(void (*handler)(int), int flags, bool all) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  for (const int signal : kCaught)
    sigaddset(&action.sa_mask, signal);  // the handler is not interrupted by itself
  for (const int signal : kCaught) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    const bool ignored = before.sa_handler == SIG_IGN && (all || signal == SIGHUP);
    if (!ignored) sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void clean_up_when_interrupted() { catch_with(clean_up_and_end, 0, true); }

void catch_interrupts() {
  catch_with(note_interrupt, SA_RESTART, false);  // reads and writes in progress go on
  // A reader that goes away, as head(1) does, must not end a training.
  signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace ds::apps
