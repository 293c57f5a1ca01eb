// How much memory the process has.
#pragma once

#include <cstdint>
#include <fstream>

namespace ds::test {

/// Pages of 4 KiB that it holds of the machine's memory.
inline int64_t resident_pages() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0;
  int64_t resident = 0;
  file >> size >> resident;
  return resident;
}

}  // namespace ds::test
