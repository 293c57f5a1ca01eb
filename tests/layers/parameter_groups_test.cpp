#include "layers/parameter_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/optim/sgd.h"
#include "tests/layers/tiny_net.h"

namespace ds {
namespace {

using test::convert_all;
using test::make_net;
using ::testing::ElementsAre;

TEST(ParameterGroups, OnlyWeightsDecay) {
  const auto sizes = [](const std::optional<ShiftFormat>& format) {
    const ModulePtr net = make_net(1);
    if (format) convert_all(*net, *format);
    const std::vector<ParameterGroup> groups = parameter_groups(*net, 0.1);
    std::vector<size_t> result;
    for (const ParameterGroup& group : groups) {
      const bool decays = &group == groups.data() && groups.size() > 1;
      EXPECT_EQ(group.weight_decay, decays ? 0.1 : 0.0);
      result.push_back(group.parameters.size());
    }
    Sgd(groups, {.lr = 0.1});  // takes them
    return result;
  };
  EXPECT_THAT(sizes({}), ElementsAre(2, 3)) << "two weights; a bias, gamma and beta";
  EXPECT_THAT(sizes(ShiftFormat{ShiftMethod::kQ, 4}), ElementsAre(2, 3));
  EXPECT_THAT(sizes(ShiftFormat{ShiftMethod::kPs, 4}), ElementsAre(7)) << "P and S decay through the loss";
}

TEST(ParameterGroups, AnOptimizerRefusesToDecayP) {
  const ModulePtr net = make_net(1);
  convert_all(*net, {ShiftMethod::kPs, 4});
  EXPECT_THROW(Sgd(net->parameters(), {.lr = 0.1, .weight_decay = 1e-4}), Error);
  Sgd(net->parameters(), {.lr = 0.1});
}

}  // namespace
}  // namespace ds
