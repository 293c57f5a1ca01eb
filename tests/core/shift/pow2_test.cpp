#include "core/shift/pow2.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"

namespace ds {
namespace {

constexpr ShiftRange kWide{.p_min = -31, .p_max = 0};

TEST(Pow2, RangesOfEachNumberOfBits) {
  EXPECT_EQ(shift_q_range(2), (ShiftRange{.p_min = -1, .p_max = 0}));
  EXPECT_EQ(shift_q_range(5), (ShiftRange{.p_min = -15, .p_max = 0}));
  EXPECT_EQ(shift_ps_range(2), (ShiftRange{.p_min = 0, .p_max = 0}));
  EXPECT_EQ(shift_ps_range(5), (ShiftRange{.p_min = -14, .p_max = 0}));
  for (const int bits : {1, 8}) {
    EXPECT_THROW(shift_q_range(bits), Error);
    EXPECT_THROW(shift_ps_range(bits), Error);
  }
}

TEST(Pow2, PowersAreExact) {
  for (int p = -126; p <= 126; ++p) {
    EXPECT_EQ(pow2::exp2<float>(p), std::ldexp(1.0F, p));
    EXPECT_EQ(pow2::exp2<double>(p), std::ldexp(1.0, p));
  }
}

template <class T>
class Pow2Of : public testing::Test {};
using FloatTypes = testing::Types<float, double>;
TYPED_TEST_SUITE(Pow2Of, FloatTypes);

TYPED_TEST(Pow2Of, TheNearestExponentChangesAtSqrt2) {
  using T = TypeParam;
  const T root = std::sqrt(T{2});  // rounded: decide by its exact square
  const T above = root * root > T{2} ? root : std::nextafter(root, T{2});
  const T below = std::nextafter(above, T{1});
  for (int e = -14; e <= 3; ++e) {
    EXPECT_EQ(pow2::nearest_log2(std::ldexp(T{1}, e)), e);
    EXPECT_EQ(pow2::nearest_log2(std::ldexp(below, e)), e);
    EXPECT_EQ(pow2::nearest_log2(std::ldexp(above, e)), e + 1);
    EXPECT_EQ(pow2::nearest_log2(-std::ldexp(above, e)), e + 1);
    EXPECT_EQ(pow2::nearest_log2(std::nextafter(std::ldexp(T{1}, e), T{0})), e);
  }
}

TYPED_TEST(Pow2Of, QRoundsAndClamps) {
  using T = TypeParam;
  const ShiftRange range{.p_min = -7, .p_max = 0};
  EXPECT_EQ(pow2::round_q(T{0.7}, range), T{0.5});
  EXPECT_EQ(pow2::round_q(T{0.71}, range), T{1});
  EXPECT_EQ(pow2::round_q(T{-0.3}, range), T{-0.25});
  EXPECT_EQ(pow2::round_q(T{5}, range), T{1});
  EXPECT_EQ(pow2::round_q(T{-1e-6}, range), T{-0x1p-7});
  EXPECT_EQ(pow2::round_q(T{0}, range), T{0x1p-7});
  EXPECT_EQ(pow2::round_q(-T{0}, range), T{0x1p-7});
  EXPECT_EQ(pow2::round_q(std::numeric_limits<T>::denorm_min(), range), T{0x1p-7});
}

TYPED_TEST(Pow2Of, StochasticQTakesOneOfTheNeighbours) {
  using T = TypeParam;
  const T w = std::exp2(T{-2.25});  // up with probability 3/4
  EXPECT_EQ(pow2::round_q_stochastic(w, kWide, 0.74F), T{0.25});
  EXPECT_EQ(pow2::round_q_stochastic(w, kWide, 0.76F), T{0.125});
  EXPECT_EQ(pow2::round_q_stochastic(-w, kWide, 0.0F), T{-0.25});
  EXPECT_EQ(pow2::round_q_stochastic(T{0.25}, kWide, 0.0F), T{0.25});  // exact powers stay
  EXPECT_EQ(pow2::round_q_stochastic(T{0}, kWide, 0.0F), T{0x1p-31});
}

TYPED_TEST(Pow2Of, ANanStays) {
  using T = TypeParam;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (const T rounded : {pow2::round_q(nan, kWide), pow2::round_q_stochastic(nan, kWide, 0.5F),
                          pow2::round_ps(nan, T{1}, kWide), pow2::round_ps(T{-1}, nan, kWide),
                          pow2::round_ps_stochastic(nan, T{1}, kWide, 0.5F)}) {
    EXPECT_TRUE(std::isnan(rounded));
  }
}

TYPED_TEST(Pow2Of, PsRoundsHalfToEven) {
  using T = TypeParam;
  EXPECT_EQ(pow2::round_ps(T{-1.5}, T{1}, kWide), T{0.25});
  EXPECT_EQ(pow2::round_ps(T{-2.5}, T{1}, kWide), T{0.25});
  EXPECT_EQ(pow2::round_ps(T{-2.6}, T{-0.6}, kWide), T{-0.125});
  EXPECT_EQ(pow2::round_ps(T{4}, T{1}, kWide), T{1});
  for (const T s : {T{0.5}, T{-0.5}, T{0}}) EXPECT_EQ(pow2::round_ps(T{-1}, s, kWide), T{0});
  EXPECT_EQ(pow2::round_ps(T{-1}, std::nextafter(T{0.5}, T{1}), kWide), T{0.5});
  EXPECT_EQ(pow2::round_ps_stochastic(T{-1.25}, T{1}, kWide, 0.74F), T{0.5});
  EXPECT_EQ(pow2::round_ps_stochastic(T{-1.25}, T{1}, kWide, 0.76F), T{0.25});
}

}  // namespace
}  // namespace ds
