// Asks for memory before it is needed.
#pragma once

#include <cstdint>

namespace ds::cpu {

/// Cache lines of [from, from + count); nothing happens where they cannot be read.
inline void prefetch(const float* from, int64_t count) {
  constexpr int64_t kLine = 16;  // floats
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(from + i, 0, 2);
}

}  // namespace ds::cpu
