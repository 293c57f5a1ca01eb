// What a run was made with: version, compiler, float engines, BLAS, threads, processor.
#pragma once

#include <string>
#include <vector>

namespace ds::apps {

struct SystemInfo {
  std::string version;   // of DeepShift
  std::string compiler;  // "gcc 12.2.0"
  std::vector<std::string> engines;
  std::string engine;   // the one in use
  std::string kernels;  // the instruction set of the native kernels in use
  std::string blas;     // what the BLAS library says of itself; "unknown" where it does not
  int threads = 0;      // compute threads
  std::string cpu;      // the processor's name
  std::string cpu_isa;  // the instruction sets that matter for kernels
  std::string cuda;     // "not compiled in", or its version and the devices found
  std::string jpeg;
};

SystemInfo system_info();
/// One line an item, for --version.
std::string describe(const SystemInfo& info);

}  // namespace ds::apps
