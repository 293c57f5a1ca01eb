#include "layers/weights/shift_q.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "autograd/functions.h"
#include "autograd/optim/sgd.h"
#include "core/random.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<float> master(const Weight& weight) {
  return weight.parameters()[0].value.value().to_vector<float>();
}

TEST(ShiftQWeight, RoundsInTheLogDomainWithinTheRange) {
  const Tensor values = numbers({0.35F, 0.36F, -0.7F, -0.72F, 3.0F, 1e-6F, -1e-6F, 0.0F}, {8, 1});
  const ShiftQWeight weight(values, 4);  // 2^-7 .. 1, halves of the way at sqrt(2) 2^e = 0.3536, 0.7071
  const std::vector<float> expected{0.25F, 0.5F, -0.5F, -1.0F, 1.0F, 0x1p-7F, -0x1p-7F, 0x1p-7F};
  EXPECT_EQ(weight.rounded().to_vector<float>(), expected);
  EXPECT_EQ(weight.forward(true).value().to_vector<float>(), expected);
  EXPECT_THAT(master(weight), ElementsAre(0.35F, 0.36F, -0.7F, -0.72F, 1.0F, 0x1p-7F, -0x1p-7F, 0x1p-7F));
}

TEST(ShiftQWeight, HoldsOnlyItsOwnValuesAtEveryWidth) {
  manual_seed(1);
  for (int bits = 2; bits <= 7; ++bits) {
    Tensor values = Tensor::empty({1000, 1});
    fill_normal(values, 0.0, 0.3, default_generator());
    const ShiftQWeight weight(values.clone(), bits);
    const int p_min = -((1 << (bits - 1)) - 1);
    for (const float w : weight.rounded().to_vector<float>()) {
      int exponent = 0;
      ASSERT_EQ(std::abs(std::frexp(w, &exponent)), 0.5F);
      ASSERT_GE(exponent - 1, p_min);
      ASSERT_LE(exponent - 1, 0);
    }
  }
}

TEST(ShiftQWeight, GradientIsTheIdentityAlsoAtTheEnds) {
  const ShiftQWeight weight(numbers({0.3F, -5.0F, 0.0F}, {3, 1}), 5);
  (sum(weight.forward(true) * Variable(numbers({1, 2, 3}, {3, 1})))).backward();
  EXPECT_THAT(weight.parameters()[0].value.grad().to_vector<float>(), ElementsAre(1, 2, 3));
}

TEST(ShiftQWeight, IsClampedAfterEachStep) {
  const ShiftQWeight weight(numbers({0.5F, 0.5F, -0.25F}, {3, 1}), 3);  // range 2^-3 .. 1
  Sgd optimizer({weight.parameters()[0].value}, {.lr = 1.0});
  sum(weight.forward(true) * Variable(numbers({-2.0F, 0.45F, -0.25F}, {3, 1}))).backward();
  optimizer.step();
  EXPECT_THAT(master(weight), ElementsAre(1.0F, 0.125F, 0.125F));  // too large; too small; an exact zero
}

TEST(ShiftQWeight, ClampsAndCountsZerosAfterLoading) {
  ShiftQWeight weight(numbers({0.5F, 0.5F, 0.5F}, {3, 1}), 3);
  weight.parameters()[0].value.mutable_value().copy_from(numbers({0.0F, -0.0F, 9.0F}, {3, 1}));
  EXPECT_EQ(weight.clamp(), 2);
  EXPECT_THAT(master(weight), ElementsAre(0.125F, 0.125F, 1.0F));
}

TEST(ShiftQWeight, RoundsStochasticallyInTrainingOnly) {
  manual_seed(2);
  const double w = std::exp2(-2.25);  // between 2^-3 and 2^-2, up with probability 3/4
  const ShiftQWeight weight(Tensor::full({4000, 1}, w), 5, {.rounding = Rounding::kStochastic});
  const auto count_upper = [](const Tensor& y) {
    const auto values = y.to_vector<float>();
    EXPECT_THAT(values, Each(testing::AnyOf(0.125F, 0.25F)));
    return static_cast<double>(std::count(values.begin(), values.end(), 0.25F));
  };
  const Tensor first = weight.forward(true).value();
  EXPECT_NEAR(count_upper(first), 3000.0, 150.0);
  EXPECT_NE(weight.forward(true).value().to_vector<float>(), first.to_vector<float>());
  const uint64_t position = default_generator().position();
  EXPECT_THAT(weight.forward(false).value().to_vector<float>(), Each(0.25F));
  EXPECT_EQ(default_generator().position(), position);
  manual_seed(2);
  EXPECT_EQ(weight.forward(true).value().to_vector<float>(), first.to_vector<float>());
}

TEST(ShiftQWeight, RefusesOtherBitsAndRoundings) {
  const Tensor values = Tensor::full({1, 1}, 0.5);
  EXPECT_THAT(error_of([&] { ShiftQWeight(values, 8); }), HasSubstr("8 weight bits, expected 2 to 7"));
  EXPECT_THAT(error_of([&] { ShiftQWeight(values, 1); }), HasSubstr("1 weight bits"));
  EXPECT_THAT(error_of([&] { ShiftQWeight(values, 5, {.rounding = Rounding::kFloor}); }), HasSubstr("floor"));
}

}  // namespace
}  // namespace ds
