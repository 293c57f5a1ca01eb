#include "infer/multiplier.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "infer/arithmetic.h"
#include "tests/layers/support.h"

namespace ds::infer {
namespace {

using test::error_of;
using testing::HasSubstr;

TEST(Multiplier, IsTheNearestWithSoManyDigits) {
  for (const int digits : {1, 2, 3, 4}) {
    for (double scale = 1e-4; scale < 30.0; scale *= 1.037) {
      const Multiplier found = nearest_multiplier(scale, digits, 0, 24);
      EXPECT_LE(count_digits(found.m), digits) << scale;
      EXPECT_LE(found.m, 128) << scale;
      for (int64_t m = 0; m <= 128; ++m) {  // nothing else with this k is nearer
        if (count_digits(m) > digits) continue;
        const double other = std::ldexp(static_cast<double>(m), -found.k);
        EXPECT_LE(std::abs(found.value() - scale), std::abs(other - scale) + 1e-15) << scale << " m " << m;
      }
    }
  }
}

TEST(Multiplier, UsesItsDigits) {
  EXPECT_LE(std::abs(nearest_multiplier(0.0123, 3, 0, 24).value() / 0.0123 - 1.0), 0.02);
  EXPECT_LE(std::abs(nearest_multiplier(0.0123, kFullDigits, 0, 40).value() / 0.0123 - 1.0), 1.0 / (1 << 15));
  EXPECT_EQ(nearest_multiplier(0.25, 1, 0, 24).value(), 0.25);
}

TEST(Multiplier, KeepsTheSign) {
  const Multiplier plus = nearest_multiplier(0.3, 2, 0, 24);
  const Multiplier minus = nearest_multiplier(-0.3, 2, 0, 24);
  EXPECT_EQ(minus.m, -plus.m);
  EXPECT_EQ(minus.k, plus.k);
}

TEST(Multiplier, KeepsShiftsWithinTheirBounds) {
  const Multiplier small = nearest_multiplier(1e-9, 3, 0, 24);
  EXPECT_EQ(small.k, 24);
  EXPECT_EQ(small.m, 0);
  const Multiplier large = nearest_multiplier(100.0, 3, 4, 24);
  EXPECT_EQ(large.k, 4);
  EXPECT_LE(count_digits(large.m), 3);
  EXPECT_NEAR(large.value(), 100.0, 4.0);
  EXPECT_EQ(nearest_multiplier(0.0, 3, 2, 24).m, 0);
}

TEST(Multiplier, RefusesWhatItCannotBe) {
  EXPECT_THAT(error_of([] { nearest_multiplier(std::numeric_limits<double>::quiet_NaN(), 3, 0, 24); }),
              HasSubstr("scale is nan"));
  EXPECT_THAT(error_of([] { nearest_multiplier(1.0, 5, 0, 24); }), HasSubstr("5 digits"));
  EXPECT_THAT(error_of([] { nearest_multiplier(1.0, 3, 5, 4); }), HasSubstr("shifts from 5 to 4"));
  EXPECT_THAT(error_of([] { nearest_multiplier(1e30, 3, 0, 24); }),
              HasSubstr("scale is 1e+30 with a shift of 0, expected less than 2^62 in all"));
  EXPECT_EQ(nearest_multiplier(0x1p60, 3, 0, 24).m, int64_t{1} << 60);
}

TEST(Arithmetic, MultipliesByDigitsAlone) {
  for (int64_t m = -300; m <= 300; ++m) {
    for (const int64_t a : {-1000, -1, 0, 1, 77}) EXPECT_EQ(multiply_by_digits(a, m), a * m) << a << " " << m;
  }
}

TEST(Arithmetic, RoundsHalfUp) {
  EXPECT_EQ(shift_right_rounded(5, 1), 3);
  EXPECT_EQ(shift_right_rounded(-5, 1), -2);
  EXPECT_EQ(shift_right_rounded(-6, 2), -1);
  EXPECT_EQ(shift_right_rounded(9, 0), 9);
}

}  // namespace
}  // namespace ds::infer
