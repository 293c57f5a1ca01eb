#include "apps/deepshift/old_names.h"

#include <gtest/gtest.h>

namespace ds::apps {
namespace {

TEST(OldNames, BecomeThoseOfToday) {
  const std::vector<TensorSpec> tensors =
      with_names_of_today({{.name = "features.denseblock1.denselayer12.norm.1.running_mean", .shape = {4}},
                           {.name = "features.denseblock1.denselayer1.conv.2.weight"},
                           {.name = "features.denseblock1.denselayer1.norm1.weight"},
                           {.name = "features.norm.1.weight"}});
  EXPECT_EQ(tensors[0].name, "features.denseblock1.denselayer12.norm1.running_mean");
  EXPECT_EQ(tensors[0].shape, Shape({4}));
  EXPECT_EQ(tensors[1].name, "features.denseblock1.denselayer1.conv2.weight");
  EXPECT_EQ(tensors[2].name, "features.denseblock1.denselayer1.norm1.weight");
  EXPECT_EQ(tensors[3].name, "features.norm.1.weight");
}

}  // namespace
}  // namespace ds::apps
