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

/// The sum of term(i) over [begin, end), in several sums side by side: one alone waits for itself.
template <class Term>
double sum_of_terms(int64_t begin, int64_t end, const Term& term) {
  constexpr int64_t kSums = 64;
  double sums[kSums] = {};
  int64_t i = begin;
  for (; i + kSums <= end; i += kSums) {
    for (int64_t s = 0; s < kSums; ++s) sums[s] += static_cast<double>(term(i + s));
  }
  double total = 0.0;
  for (; i < end; ++i) total += static_cast<double>(term(i));
  if (end - begin < kSums) return total;
  for (const double sum : sums) total += sum;
  return total;
}

/// Rows of `width` elements that make a chunk of about kElementwiseGrain elements.
constexpr int64_t rows_per_chunk(int64_t width) {
  return std::max<int64_t>(1, kElementwiseGrain / std::max<int64_t>(1, width));
}

}  // namespace ds::cpu
