#include "core/shift/levels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"

namespace ds {
namespace {

using ::testing::ElementsAre;

TEST(Levels, AreThoseOfTheFormat) {
  EXPECT_THAT(Levels({ShiftMethod::kQ, 3}).magnitudes(), ElementsAre(0.125, 0.25, 0.5, 1.0));
  EXPECT_THAT(Levels({ShiftMethod::kPs, 3}).magnitudes(), ElementsAre(0.0, 0.25, 0.5, 1.0));
  EXPECT_THAT(Levels({ShiftMethod::kQ, 2, 1}).magnitudes(), ElementsAre(1.0, 2.0));
  EXPECT_THAT(Levels({ShiftMethod::kQ, 2, 0, 2}).magnitudes(), ElementsAre(0.0, 0.5, 1.0, 1.5, 2.0));
  EXPECT_THAT(Levels({ShiftMethod::kPs, 2, 0, 2}).magnitudes(), ElementsAre(0.0, 1.0, 2.0));
  EXPECT_THROW(Levels({ShiftMethod::kQ, 5, 0, 3}), Error);
  EXPECT_THROW(Levels({ShiftMethod::kQ, 6, 0, 2}), Error);
}

TEST(Levels, RoundInTheLinearDomain) {
  const Levels q4({ShiftMethod::kQ, 4});
  const Levels ps3({ShiftMethod::kPs, 3});
  EXPECT_EQ(q4.nearest(0.74), 0.5);
  EXPECT_EQ(q4.nearest(-0.76), -1.0);
  EXPECT_EQ(q4.nearest(9.0), 1.0);
  EXPECT_EQ(q4.nearest(0.0), std::ldexp(1.0, -7));
  EXPECT_EQ(q4.nearest(0.75), 0.5) << "of two as near the smaller";
  EXPECT_EQ(ps3.nearest(0.12), 0.0);
  EXPECT_EQ(ps3.nearest(-0.13), -0.25);
  const Levels moved({ShiftMethod::kQ, 3, 2});
  EXPECT_EQ(moved.nearest(3.0), 2.0);
  EXPECT_EQ(moved.nearest(3.1), 4.0);
}

TEST(Levels, OfTwoTermsRoundToTheNearestSum) {
  const Levels q3({ShiftMethod::kQ, 3, 0, 2});  // 1/8 .. 1
  EXPECT_EQ(q3.nearest(0.01), 0.0);
  EXPECT_EQ(q3.nearest(-0.8), -0.75);
  EXPECT_EQ(q3.nearest(0.87), 0.875);
  EXPECT_EQ(q3.nearest(1.7), 1.5);
  EXPECT_EQ(q3.nearest(-7.0), -2.0);
}

}  // namespace
}  // namespace ds
