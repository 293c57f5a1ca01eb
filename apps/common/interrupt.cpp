#include "apps/common/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include "apps/common/app.h"

namespace ds::apps {

namespace {

volatile sig_atomic_t g_interrupted = 0;

void note_interrupt(int) {
  if (g_interrupted != 0) _exit(kExitInterrupted);
  g_interrupted = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESTART;  // reads and writes in progress go on
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

}  // namespace ds::apps
