// Sequential, Residual and Concat.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/activation.h"
#include "layers/concat.h"
#include "layers/linear.h"
#include "layers/residual.h"
#include "layers/sequential.h"
#include "tests/layers/support.h"

namespace ds {
namespace {

using test::error_of;
using test::numbers;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<Linear> linear_without_bias(int64_t in, int64_t out) {
  return std::make_shared<Linear>(in, out, LinearOptions{.bias = false});
}

TEST(Sequential, RunsInOrderUnderItsNames) {
  const auto first = linear_without_bias(1, 2);
  Sequential numbered({first, std::make_shared<Relu>(), linear_without_bias(2, 1)});
  EXPECT_THAT(test::parameter_names(numbered), ElementsAre("0.weight", "2.weight"));
  EXPECT_EQ(numbered(numbers({1, 2, 3}, {3, 1})).shape(), (Shape{3, 1}));

  Sequential named({{"fc", linear_without_bias(1, 2)}, {"relu", std::make_shared<Relu>()}});
  EXPECT_THAT(test::parameter_names(named), ElementsAre("fc.weight"));
  Sequential identity;
  EXPECT_THAT(identity(numbers({4}, {1})).value().to_vector<float>(), ElementsAre(4));
  EXPECT_THAT(error_of([&] { Sequential({first}); }), HasSubstr("belongs to a module already, as 0"));
}

TEST(Residual, AddsTheShortcut) {
  Residual identity(std::make_shared<Relu>());
  EXPECT_THAT(identity(numbers({-1, 2}, {1, 2})).value().to_vector<float>(), ElementsAre(-1, 4));
  Residual both(std::make_shared<Relu>(), std::make_shared<Relu>());
  EXPECT_THAT(both(numbers({-1, 2}, {1, 2})).value().to_vector<float>(), ElementsAre(0, 4));
  Residual named(linear_without_bias(2, 3), linear_without_bias(2, 3));
  EXPECT_THAT(test::parameter_names(named), ElementsAre("branch.weight", "shortcut.weight"));
  Residual unequal(linear_without_bias(2, 3));
  EXPECT_THAT(error_of([&] {
                unequal(numbers({1, 2}, {1, 2}));
              }),
              HasSubstr("the branch gives [1, 3], the shortcut [1, 2]"));
  EXPECT_THAT(error_of([] { Residual(nullptr); }), HasSubstr("branch is not there"));
}

TEST(Concat, PutsChannelsSideBySide) {
  Concat concat({std::make_shared<Relu>(), std::make_shared<Sequential>()});
  EXPECT_THAT(concat(numbers({-1, 2}, {1, 2})).value().to_vector<float>(), ElementsAre(0, 2, -1, 2));
  EXPECT_THAT(error_of([] { Concat({}); }), HasSubstr("no branches"));
}

}  // namespace
}  // namespace ds
