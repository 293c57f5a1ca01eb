#include "autograd/grad_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "autograd/functions.h"
#include "autograd/tape.h"
#include "core/ops.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::HasSubstr;

/// x^2, with its gradient multiplied by a factor.
Variable square(const Variable& x, double factor) {
  return record(
      {.kind = "square", .inputs = {x}}, ops::arithmetic(Arithmetic::kMultiply, x.value(), x.value()),
      [x = x.value(), factor](const Tensor& dy) {
        return Gradients{ops::affine(ops::arithmetic(Arithmetic::kMultiply, dy, x), 2.0 * factor, 0.0)};
      });
}

GradCheckResult check_square(double factor) {
  const Variable x(uniform({3, 4}, 1, DType::kF64), true);
  return grad_check([factor](const std::vector<Variable>& in) { return square(in[0], factor); }, {x});
}

TEST(GradCheck, AcceptsARightGradient) {
  const GradCheckResult result = check_square(1.0);
  EXPECT_TRUE(result.passed) << result.message;
}

TEST(GradCheck, HasTeeth) {
  for (const double factor : {1.01, 0.99, 1.00001, 0.0, -1.0}) {
    EXPECT_FALSE(check_square(factor).passed) << "accepted a gradient scaled by " << factor;
  }
  EXPECT_THAT(check_square(1.01).message, HasSubstr("input 0 element"));
}

TEST(GradCheck, NothingPassesWithANan) {
  const GradCheckResult result = check_square(std::numeric_limits<double>::quiet_NaN());
  EXPECT_FALSE(result.passed);
  EXPECT_TRUE(std::isnan(result.worst_error));

  const Variable x(uniform({3}, 1, DType::kF64), true);
  const auto nan_value = [](const std::vector<Variable>& in) {
    return in[0] * std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_FALSE(grad_check(nan_value, {x}).passed);
}

TEST(GradCheck, SeesAGradientInTheWrongPlace) {
  const auto reversed = [](const std::vector<Variable>& in) {
    return record({.kind = "identity", .inputs = {in[0]}}, in[0].value().clone(), [](const Tensor& dy) {
      auto values = dy.to_vector<double>();
      std::reverse(values.begin(), values.end());
      return Gradients{Tensor::from(values, dy.shape())};
    });
  };
  EXPECT_FALSE(grad_check(reversed, {Variable(uniform({4}, 1, DType::kF64), true)}).passed);
}

TEST(GradCheck, LeavesInputsAsTheyWere) {
  const Variable x(uniform({5}, 1, DType::kF64), true);
  const auto before = x.value().to_vector<double>();
  grad_check([](const std::vector<Variable>& in) { return square(in[0], 1.0); }, {x});
  EXPECT_EQ(x.value().to_vector<double>(), before);
  EXPECT_FALSE(x.grad().defined());
}

TEST(GradCheck, WantsDoubleLeaves) {
  const auto function = [](const std::vector<Variable>& in) { return in[0]; };
  EXPECT_THAT(error_of([&] { grad_check(function, {leaf({1})}); }), HasSubstr("input 0 is not an f64 leaf"));
}

}  // namespace
}  // namespace ds::test
