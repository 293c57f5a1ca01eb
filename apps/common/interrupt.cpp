#include "apps/common/interrupt.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "apps/common/app.h"

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
  if (seconds >= kRepetitionSeconds) _exit(kExitInterrupted);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART;  // reads and writes in progress go on
  for (const int signal : kCaught)
    sigaddset(&action.sa_mask, signal);  // the handler is not interrupted by itself
  struct sigaction before {};
  sigaction(SIGHUP, nullptr, &before);
  const bool outlives_terminal = before.sa_handler == SIG_IGN;  // nohup(1)
  for (const int signal : kCaught) {
    if (signal != SIGHUP || !outlives_terminal) sigaction(signal, &action, nullptr);
  }
  // A reader that goes away, as head(1) does, must not end a training.
  signal(SIGPIPE, SIG_IGN);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace ds::apps
