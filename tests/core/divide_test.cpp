#include "core/divide.h"

#include <gtest/gtest.h>

#include "core/random.h"

namespace ds {
namespace {

/// Below 2^(62 - shift).
int64_t number(Generator& random, int shift) {
  constexpr uint32_t kHalf = uint32_t{1} << 31;
  return ((int64_t{random.below(kHalf)} << 31) | random.below(kHalf)) >> shift;
}

TEST(Divide, IsWhatTheOperatorsGive) {
  Generator random(1);
  for (int trial = 0; trial < 100'000; ++trial) {
    const int64_t a = number(random, trial % 62);
    const int64_t b = 1 + number(random, trial / 62 % 62);
    const auto [quotient, remainder] = divide(a, b);
    ASSERT_EQ(quotient, a / b) << a << " by " << b;
    ASSERT_EQ(remainder, a % b) << a << " by " << b;
  }
}

}  // namespace
}  // namespace ds
