// Sums in an order that does not depend on the number of threads: one partial result a chunk, added in order.
#pragma once

#include <vector>

#include "core/parallel.h"

namespace ds::cpu {

/// The sum of sum_of(begin, end) over consecutive chunks of [0, count).
template <class Body>
double chunked_sum(int64_t count, Body&& sum_of) {
  std::vector<double> partial(static_cast<size_t>(chunk_count(count, kElementwiseGrain)));
  parallel_for(count, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    partial[static_cast<size_t>(begin / kElementwiseGrain)] = sum_of(begin, end);
  });
  double total = 0.0;
  for (const double value : partial) total += value;
  return total;
}

/// Rows of `width` elements that make a chunk of about kElementwiseGrain elements.
constexpr int64_t rows_per_chunk(int64_t width) {
  return std::max<int64_t>(1, kElementwiseGrain / std::max<int64_t>(1, width));
}

}  // namespace ds::cpu
