// The time of work on the device alone.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/stream.h"

namespace ds::bench::ladder {

/// Milliseconds of what work(stream) starts, as a graph, so that no time of the host's counts: the median of
/// so many runs, after two that warm up.
template <class Work>
double median_milliseconds(const Work& work, int runs) {
  cuda::check(cudaDeviceSynchronize(), "copying");  // streams do not wait for uploads
  const cuda::Stream stream;
  const cuda::Graph graph(stream, [&] { work(stream.get()); });
  cuda::Stopwatch stopwatch(stream);
  std::vector<double> times;
  for (int run = 0; run < runs + 2; ++run) {
    const double milliseconds = stopwatch.time([&] { graph.start(stream); });
    if (run >= 2) times.push_back(milliseconds);
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace ds::bench::ladder
