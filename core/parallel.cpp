#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace ds {
namespace {

cpu_set_t current_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  sched_getaffinity(0, sizeof(mask), &mask);
  return mask;
}

// The mask before anything was pinned: read when the program starts, because a pinned thread passes its mask
// on.
const cpu_set_t kProcessMask = current_mask();

int default_threads() {
  // OMP_PROC_BIND binds this thread before the mask is read; OpenMP knows of the other processors then.
  const int processors = std::max(CPU_COUNT(&kProcessMask), omp_get_num_procs());
  const char* text = std::getenv("DEEPSHIFT_THREADS");
  if (text == nullptr) return processors;
  int count = 0;
  const std::string_view view(text);
  const auto [end, status] = std::from_chars(view.data(), view.data() + view.size(), count);
  DS_CHECK(status == std::errc{} && end == view.data() + view.size() && count >= 1,
           "[threads] DEEPSHIFT_THREADS is \"{}\", expected a number of at least 1", view);
  return count;
}

std::atomic<int>& thread_count() {
  static std::atomic<int> count{default_threads()};
  return count;
}

/// Consecutive chunks, handed out one by one.
struct alignas(64) Share {  // a cache line each
  std::atomic<int64_t> next;
  int64_t end;
};

/// Each thread begins with a share of its own, the same in every call of so many chunks, and then helps the
/// others: what it wrote in one call is likely to be in its cache when the next reads it.
template <class Run>
void run_shares(int64_t chunks, int threads, const Run& run) {
  std::array<Share, 32> few;  // calls of steady loops allocate nothing
  std::vector<Share> many(threads > static_cast<int>(few.size()) ? static_cast<size_t>(threads) : 0);
  const std::span<Share> shares(many.empty() ? few.data() : many.data(), static_cast<size_t>(threads));
  for (int64_t i = 0; i < threads; ++i) {
    shares[static_cast<size_t>(i)].next = chunks * i / threads;
    shares[static_cast<size_t>(i)].end = chunks * (i + 1) / threads;
  }
#pragma omp parallel num_threads(threads)
  for (size_t i = 0; i < shares.size(); ++i) {
    Share& share = shares[(static_cast<size_t>(omp_get_thread_num()) + i) % shares.size()];
    for (int64_t chunk = share.next++; chunk < share.end; chunk = share.next++) run(chunk);
  }
}

}  // namespace

int num_threads() { return thread_count().load(std::memory_order_relaxed); }

void set_num_threads(int count) {
  DS_CHECK(count >= 1, "[threads] {} threads, expected at least 1", count);
  thread_count() = count;
}

void pin_threads() {
  if (omp_get_proc_bind() != omp_proc_bind_false) return;  // OMP_PROC_BIND: OpenMP does it
  std::vector<int> processors;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &kProcessMask)) processors.push_back(cpu);
  }
  if (processors.empty()) return;
#pragma omp parallel num_threads(num_threads())
  {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(processors[static_cast<size_t>(omp_get_thread_num()) % processors.size()], &mask);
    pthread_setaffinity_np(pthread_self(), sizeof(mask), &mask);
  }
}

void unpin_this_thread() { pthread_setaffinity_np(pthread_self(), sizeof(kProcessMask), &kProcessMask); }

void detail::run_chunks(int64_t chunks, ChunkBody body) {
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), chunks));
  if (threads <= 1 || omp_in_parallel()) {
    for (int64_t chunk = 0; chunk < chunks; ++chunk) body.call(body.object, chunk);
    return;
  }
  std::exception_ptr error;
  std::mutex error_mutex;
  const auto run = [&](int64_t chunk) {
    try {
      body.call(body.object, chunk);
    } catch (...) {  // an exception must not leave the parallel region
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  };
  if (chunks == threads) {  // nothing to help with: spares the lines of the cache that shares are in
#pragma omp parallel num_threads(threads)
    for (int64_t chunk = omp_get_thread_num(); chunk < chunks; chunk += omp_get_num_threads()) run(chunk);
  } else {
    run_shares(chunks, threads, run);
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace ds
