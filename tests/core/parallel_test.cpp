#include "core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/error.h"
#include "tests/support/scoped.h"

namespace ds {
namespace {

TEST(Parallel, CoversEveryItemOnce) {
  for (const int threads : {1, 2, 3}) {
    const test::ScopedThreads scope(threads);
    for (const int64_t count : {0, 1, 9, 10, 11, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      parallel_for(count, 10, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % 10, 0);
        EXPECT_LE(end - begin, 10);
        for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
      });
      for (const auto& visit : visits) EXPECT_EQ(visit, 1);
    }
  }
}

TEST(Parallel, ThrowsOnAnExceptionAfterAllChunksEnded) {
  const test::ScopedThreads two(2);
  std::atomic<int> ended{0};
  const auto body = [&](int64_t chunk) {
    if (chunk == 3) throw std::runtime_error("chunk 3");
    ++ended;
  };
  try {
    parallel_chunks(20, body);
    FAIL() << "the exception was lost";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "chunk 3");
  }
  EXPECT_EQ(ended, 19);
}

TEST(Parallel, ANestedCallIsSerial) {
  const test::ScopedThreads two(2);
  std::atomic<int64_t> total{0};
  parallel_chunks(8, [&](int64_t) {
    int64_t sum = 0;  // not atomic: a nested call that forked would race
    parallel_for(1000, 7, [&](int64_t begin, int64_t end) { sum += end - begin; });
    total += sum;
  });
  EXPECT_EQ(total, 8000);
}

TEST(Parallel, ChunkedSumsHaveEqualBitsForAnyNumberOfThreads) {
  std::vector<double> sums;
  for (const int threads : {1, 2, 3}) {
    const test::ScopedThreads scope(threads);
    std::vector<double> partial(static_cast<size_t>(chunk_count(100000, 1024)));
    parallel_for(100000, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        partial[static_cast<size_t>(begin / 1024)] += std::sin(static_cast<double>(i));
      }
    });
    sums.push_back(std::accumulate(partial.begin(), partial.end(), 0.0));
  }
  EXPECT_EQ(sums[0], sums[1]);
  EXPECT_EQ(sums[0], sums[2]);
}

TEST(Parallel, NeedsAThread) {
  EXPECT_THROW(set_num_threads(0), Error);
  EXPECT_GE(num_threads(), 1);
}

}  // namespace
}  // namespace ds
