#include "layers/weights/shift_ps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

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
using ::testing::FloatEq;
using ::testing::HasSubstr;

std::vector<float> parameter(const Weight& weight, size_t index) {
  return weight.parameters()[index].value.value().to_vector<float>();
}

TEST(ShiftPsWeight, ForwardIsTheRoundedSignTimesThePower) {
  const ShiftPsWeight weight(numbers({-1.5F, -2.5F, -0.4F, -3.0F, -1.0F, 2.0F}, {6, 1}),
                             numbers({1.0F, -0.6F, 0.5F, -0.5F, 0.51F, -7.0F}, {6, 1}), 4);
  // Half to even: -1.5 and -2.5 both become -2; a sign of exactly one half is 0; shifts above 0 are clamped.
  const std::vector<float> expected{0.25F, -0.25F, 0.0F, 0.0F, 0.5F, -1.0F};
  EXPECT_EQ(weight.rounded().to_vector<float>(), expected);
  EXPECT_EQ(weight.forward(true).value().to_vector<float>(), expected);
}

TEST(ShiftPsWeight, GradientsFollowThePaper) {
  const ShiftPsWeight weight(numbers({-1.0F, -2.0F, -3.0F}, {3, 1}), numbers({1.0F, -1.0F, 0.2F}, {3, 1}), 5);
  sum(weight.forward(true) * Variable(numbers({3.0F, 5.0F, 7.0F}, {3, 1}))).backward();
  const auto ln2 = std::numbers::ln2_v<float>;
  EXPECT_THAT(weight.parameters()[0].value.grad().to_vector<float>(),
              ElementsAre(FloatEq(3.0F * 0.5F * ln2), FloatEq(-5.0F * 0.25F * ln2), 0.0F));
  EXPECT_THAT(weight.parameters()[1].value.grad().to_vector<float>(), ElementsAre(3.0F, 5.0F, 7.0F));
}

TEST(ShiftPsWeight, StartsFromRoundedFloats) {
  const auto weight = ShiftPsWeight::from_float(numbers({0.36F, -0.35F, 5.0F, 1e-9F, 0.0F}, {5, 1}),
                                                {.method = ShiftMethod::kPs, .bits = 4});  // p in -6 .. 0
  EXPECT_THAT(parameter(*weight, 0), ElementsAre(-1, -2, 0, -6, -6));
  EXPECT_THAT(parameter(*weight, 1), ElementsAre(1, -1, 1, 1, 0));
  EXPECT_THAT(weight->rounded().to_vector<float>(), ElementsAre(0.5F, -0.25F, 1.0F, 0x1p-6F, 0.0F));
  const auto ternary =
      ShiftPsWeight::from_float(numbers({0.1F, -0.9F}, {2, 1}), {.method = ShiftMethod::kPs, .bits = 2});
  EXPECT_THAT(ternary->rounded().to_vector<float>(), ElementsAre(1, -1));
}

TEST(ShiftPsWeight, ClampsTheShiftAfterEachStepAndLeavesTheSignFree) {
  ShiftPsWeight weight(numbers({-1.0F, -2.0F}, {2, 1}), numbers({1.0F, -1.0F}, {2, 1}), 3);  // p in -2 .. 0
  Sgd optimizer({weight.parameters()[0].value, weight.parameters()[1].value}, {.lr = 1.0});
  sum(weight.forward(true) * Variable(numbers({-30.0F, -30.0F}, {2, 1}))).backward();
  optimizer.step();
  EXPECT_THAT(parameter(weight, 0), ElementsAre(0.0F, -2.0F));
  EXPECT_THAT(parameter(weight, 1), ElementsAre(31.0F, 29.0F));
  weight.parameters()[0].value.mutable_value().fill(-50.0);
  EXPECT_EQ(weight.clamp(), 0);
  EXPECT_THAT(parameter(weight, 0), Each(-2.0F));
}

TEST(ShiftPsWeight, DecayIsOnTheUnroundedShiftZeroSignsIncluded) {
  const ShiftPsWeight weight(numbers({-0.5F, -1.25F}, {2, 1}), numbers({1.0F, 0.0F}, {2, 1}), 5);
  const Variable penalty = weight.decay_penalty();
  EXPECT_NEAR(penalty.item(), 0.5 + std::exp2(-2.5), 1e-6);
  penalty.backward();
  const auto gradient = weight.parameters()[0].value.grad().to_vector<float>();
  EXPECT_NEAR(gradient[1], 2.0 * std::numbers::ln2 * std::exp2(-2.5), 1e-6);
  EXPECT_FALSE(weight.parameters()[1].value.grad().defined());
}

TEST(ShiftPsWeight, RoundsStochasticallyInTrainingOnly) {
  manual_seed(4);
  const ShiftPsWeight weight(Tensor::full({4000, 1}, -1.75), Tensor::full({4000, 1}, 1.0), 5,
                             {.rounding = Rounding::kStochastic});
  const auto values = weight.forward(true).value().to_vector<float>();
  EXPECT_NEAR(static_cast<double>(std::count(values.begin(), values.end(), 0.5F)), 1000.0, 150.0);
  EXPECT_THAT(values, Each(testing::AnyOf(0.5F, 0.25F)));
  EXPECT_THAT(weight.forward(false).value().to_vector<float>(), Each(0.25F));
}

TEST(ShiftPsWeight, TellsParametersApart) {
  const ShiftPsWeight weight(Tensor::zeros({1, 1}), Tensor::zeros({1, 1}), 5);
  EXPECT_EQ(weight.parameters()[0].name, "shift");
  EXPECT_EQ(weight.parameters()[0].role, ParameterRole::kShift);
  EXPECT_EQ(weight.parameters()[1].name, "sign");
  EXPECT_EQ(weight.parameters()[1].role, ParameterRole::kSign);
  EXPECT_EQ(weight.describe(), "shift-ps 5 bits");
  EXPECT_THAT(error_of([] {
                ShiftPsWeight(Tensor::zeros({1, 2}), Tensor::zeros({2, 1}), 5);
              }),
              HasSubstr("shift has shape [1, 2], sign [2, 1]"));
}

}  // namespace
}  // namespace ds
