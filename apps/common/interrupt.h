// Ctrl-C (SIGINT), SIGTERM and SIGHUP (a closed terminal, unless nohup(1) ignores it): the first is noted, so
// that a run can finish its step and save; another one, half a second later or more, ends the process at
// once. Sooner it is the first one again: timeout(1) and others send it to the process and to its group.
#pragma once

namespace ds::apps {

/// Makes these signals end the process, as they do by default, without leaving half-written files behind.
void clean_up_when_interrupted();
/// Starts noting signals instead.
void catch_interrupts();
/// Whether one has arrived.
bool interrupted();

}  // namespace ds::apps
