// Stores that go past the caches to memory.
//
// A plain store fetches its line first. For a tensor that is gone from the caches before anybody reads it,
// that is traffic for nothing: where memory is the limit, layers take up to twice as long.
#pragma once

#include <atomic>
#include <cstdint>

namespace ds::cpu {

/// Whether a kernel should write a tensor of `floats` so, of which it writes `count` floats of each row of
/// `pitch`, the first row at `rows`: the tensor is larger than what waits in the caches, and what is written
/// is whole lines.
inline bool worth_streaming(const float* rows, int64_t count, int64_t pitch, int64_t floats) {
  constexpr int64_t kFloats = 1 << 20;
  constexpr int64_t kLine = 16;  // floats
  return floats > kFloats && count % kLine == 0 && pitch % kLine == 0 &&
         reinterpret_cast<uintptr_t>(rows) % (kLine * sizeof(float)) == 0;
}

/// Other threads see what was streamed before their next meeting with this one: not by itself, as with plain
/// stores.
inline void finish_streaming() { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace ds::cpu
