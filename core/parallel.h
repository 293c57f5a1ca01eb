// Compute threads: OpenMP behind one function.
//
// Work is cut into chunks whose boundaries depend on the amount of work alone, never on the number of
// threads. Each thread takes chunks of its own share, the same in every call, and then of the others': caches
// stay of use from call to call, and nobody waits for the slowest. A reduction that keeps one partial result
// a chunk and adds them in order therefore gives the same bits for any number of threads. Inside a chunk
// everything runs on one thread: a nested call is serial.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "core/divide.h"

namespace ds {

/// Number of compute threads, at first DEEPSHIFT_THREADS or the number of processors this process may use.
int num_threads();
/// Throws Error unless count >= 1.
void set_num_threads(int count);
/// Binds each compute thread to a processor of its own, within the mask the process started with. For apps:
/// the library itself never pins.
void pin_threads();
/// Gives the calling thread the whole mask back; loader threads call this.
void unpin_this_thread();

namespace detail {
/// A borrowed callable: lives no longer than the call it is passed to.
struct ChunkBody {
  void* object;
  void (*call)(void* object, int64_t chunk);
};
void run_chunks(int64_t chunks, ChunkBody body);
}  // namespace detail

/// Number of chunks that `count` items make in pieces of `grain`.
constexpr int64_t chunk_count(int64_t count, int64_t grain) {
  return divide(count + grain - 1, grain).quotient;
}

/// Calls body(chunk) for every chunk in [0, chunks). The first exception thrown by a chunk is rethrown after
/// all ended.
template <class Body>
void parallel_chunks(int64_t chunks, Body&& body) {
  using Callable = std::remove_reference_t<Body>;
  detail::run_chunks(chunks, {const_cast<void*>(static_cast<const void*>(std::addressof(body))),
                              [](void* object, int64_t chunk) { (*static_cast<Callable*>(object))(chunk); }});
}

/// Calls body(begin, end) for consecutive ranges of at most `grain` items that cover [0, count).
template <class Body>
void parallel_for(int64_t count, int64_t grain, Body&& body) {
  parallel_chunks(chunk_count(count, grain), [&](int64_t chunk) {
    const int64_t begin = chunk * grain;
    body(begin, std::min(begin + grain, count));
  });
}

/// Elements an elementwise chunk holds: large enough to hide the hand-out, small enough for the L2 cache.
constexpr int64_t kElementwiseGrain = 16384;

}  // namespace ds
