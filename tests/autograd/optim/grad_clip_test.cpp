#include "autograd/optim/grad_clip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/autograd/support.h"

namespace ds::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ClipGradNorm, ScalesAllGradientsByOneFactor) {
  std::vector<Variable> parameters = {leaf({0, 0}), leaf({0}), leaf({0})};  // the last has no gradient
  parameters[0].accumulate_grad(vector_of({2, -3}));
  parameters[1].accumulate_grad(vector_of({6}));
  EXPECT_DOUBLE_EQ(clip_grad_norm(parameters, 10.0), 7.0);
  EXPECT_THAT(parameters[0].grad().to_vector<float>(), ElementsAre(2, -3)) << "already within the norm";
  EXPECT_DOUBLE_EQ(clip_grad_norm(parameters, 3.5), 7.0);
  EXPECT_NEAR(parameters[0].grad().to_vector<float>()[1], -1.5, 1e-5);
  EXPECT_NEAR(parameters[1].grad().to_vector<float>()[0], 3.0, 1e-5);
}

TEST(ClipGradNorm, ReturnsANormThatIsNotFiniteAndScalesNothing) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<Variable> parameters = {leaf({0}), leaf({0})};
    parameters[0].accumulate_grad(vector_of({bad}));
    parameters[1].accumulate_grad(vector_of({8}));
    EXPECT_FALSE(std::isfinite(clip_grad_norm(parameters, 1.0)));
    EXPECT_THAT(parameters[1].grad().to_vector<float>(), ElementsAre(8));
  }
  EXPECT_THAT(error_of([] { clip_grad_norm({}, 0.0); }), HasSubstr("largest norm is 0"));
}

}  // namespace
}  // namespace ds::test
