// How long the tests of random cases run.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace ds::test {

/// `count` random trials, times DEEPSHIFT_TEST_TRIALS where it is set: for long runs by hand.
inline int64_t trials(int64_t count) {
  const char* factor = std::getenv("DEEPSHIFT_TEST_TRIALS");
  return factor == nullptr ? count : count * std::atoll(factor);
}

}  // namespace ds::test
