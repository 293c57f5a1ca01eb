// Threads, engine and device of a process.
#pragma once

#include <string>

namespace ds::apps {

/// What the command line says of the machine.
struct MachineOptions {
  int threads = 0;  // 0: as many as processors are allowed
  std::string device = "auto";
  std::string engine;  // empty: DEEPSHIFT_ENGINE, or the library's default
  std::string precision = "f32";
};

/// Sets engine, precision and number of threads, binds the threads to processors, and puts the names of what
/// is in use in the place of "auto" and "". Throws Error when there is no such engine or device, or the
/// precision cannot be had.
void set_up_machine(MachineOptions& options);

}  // namespace ds::apps
