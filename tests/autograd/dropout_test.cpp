// Dropout: what it keeps, its gradient, and that it rests in evaluation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/functions.h"
#include "autograd/grad_check.h"
#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::HasSubstr;

TEST(Dropout, ScalesWhatItKeepsAndItsGradient) {
  const Variable x(Tensor::full({100, 100}, 2.0), true);
  Generator generator(3);
  const Variable y = dropout(x, {.p = 0.25, .training = true}, generator);
  sum(y).backward();
  const auto values = y.value().to_vector<float>();
  const auto gradients = x.grad().to_vector<float>();
  int64_t zeros = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_TRUE(values[i] == 0.0F || std::abs(values[i] - 2.0F / 0.75F) < 1e-6F);
    ASSERT_FLOAT_EQ(values[i], 2.0F * gradients[i]);
    zeros += values[i] == 0.0F ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(zeros), 2500.0, 5.0 * std::sqrt(10000 * 0.25 * 0.75));
}

TEST(Dropout, AgreesWithNumericGradients) {
  const auto function = [](const std::vector<Variable>& in) {
    Generator generator(5);  // the same mask at every call
    return dropout(in[0], {.p = 0.4, .training = true}, generator);
  };
  const GradCheckResult result = grad_check(function, {Variable(uniform({4, 7}, 1, DType::kF64), true)});
  EXPECT_TRUE(result.passed) << result.message;
}

TEST(Dropout, IsTheIdentityUnlessTraining) {
  const Variable x = leaf({1, 2});
  EXPECT_TRUE(dropout(x, {.p = 0.5}).same_as(x));
  EXPECT_THAT(error_of([&] { dropout(x, {.p = 1.0}); }), HasSubstr("p is 1, expected 0 <= p < 1"));
}

}  // namespace
}  // namespace ds::test
