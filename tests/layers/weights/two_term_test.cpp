#include "layers/weights/two_term.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/functions.h"
#include "autograd/optim/sgd.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr ShiftFormat kQ3{.method = ShiftMethod::kQ, .bits = 3, .terms = 2};    // 1/8 .. 1
constexpr ShiftFormat kPs3{.method = ShiftMethod::kPs, .bits = 3, .terms = 2};  // 0, 1/4 .. 1

TEST(TwoTermWeight, RoundsToTheNearestSum) {
  const Tensor values = numbers({0.4F, -0.7F, 1.2F, 0.05F, -9.0F}, {5, 1});
  const TwoTermWeight q(values.clone(), kQ3);
  EXPECT_THAT(q.rounded().to_vector<float>(), ElementsAre(0.375F, -0.75F, 1.25F, 0.0F, -2.0F));
  EXPECT_EQ(q.forward(true).value().to_vector<float>(), q.rounded().to_vector<float>());
  EXPECT_EQ(q.describe(), "shift-q 2x3 bits");
  const TwoTermWeight ps(values.clone(), kPs3);
  EXPECT_THAT(ps.rounded().to_vector<float>(), ElementsAre(0.5F, -0.75F, 1.25F, 0.0F, -2.0F));
  EXPECT_EQ(ps.describe(), "shift-ps 2x3 bits");
}

TEST(TwoTermWeight, GradientIsTheIdentity) {
  const TwoTermWeight weight(numbers({0.3F, -5.0F, 0.0F}, {3, 1}), kQ3);
  sum(weight.forward(true) * Variable(numbers({1, 2, 3}, {3, 1}))).backward();
  EXPECT_THAT(weight.parameters()[0].value.grad().to_vector<float>(), ElementsAre(1, 2, 3));
}

/// One step of training moves the master, in the range, and with it the sum that it is rounded to.
TEST(TwoTermWeight, LearnsWithinItsRange) {
  const TwoTermWeight weight(numbers({0.5F, 0.5F}, {2, 1}), kQ3);
  Sgd optimizer({weight.parameters()[0].value}, {.lr = 1.0});
  sum(weight.forward(true) * Variable(numbers({0.6F, -9.0F}, {2, 1}))).backward();
  optimizer.step();
  EXPECT_THAT(weight.parameters()[0].value.value().to_vector<float>(),
              ElementsAre(testing::FloatEq(-0.1F), 2.0F));
  EXPECT_THAT(weight.rounded().to_vector<float>(), ElementsAre(-0.125F, 2.0F));
}

TEST(TwoTermWeight, IsClampedAfterLoading) {
  TwoTermWeight weight(numbers({0.5F, 0.5F, 0.0F}, {3, 1}), kQ3);
  weight.parameters()[0].value.mutable_value().copy_from(numbers({0.0F, 9.0F, -9.0F}, {3, 1}));
  EXPECT_EQ(weight.clamp(), 0) << "0 is a sum of two terms";
  EXPECT_THAT(weight.rounded().to_vector<float>(), ElementsAre(0.0F, 2.0F, -2.0F));
}

TEST(TwoTermWeight, RefusesOtherBitsAndRoundings) {
  const Tensor values = Tensor::full({1, 1}, 0.5);
  EXPECT_THAT(error_of([&] { make_weight(ShiftFormat{.bits = 6, .terms = 2}, values); }),
              HasSubstr("two terms of 6 bits, expected at most 5"));
  EXPECT_THAT(error_of([&] { make_weight(kPs3, values, {.rounding = Rounding::kStochastic}); }),
              HasSubstr("rounding is stochastic, expected nearest"));
}

}  // namespace
}  // namespace ds
