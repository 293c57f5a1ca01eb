// Ctrl-C (SIGINT) and SIGTERM: the first is noted, so that a run can finish its step and save; a second one
// ends the process at once.
#pragma once

namespace ds::apps {

/// Starts noting signals.
void catch_interrupts();
/// Whether one has arrived.
bool interrupted();

}  // namespace ds::apps
