// SqueezeNet 1.1 with published weights: the logits of one input, as other programs compute them.
#include <gtest/gtest.h>

#include "core/safetensors.h"
#include "layers/checkpoint.h"
#include "models/registry.h"
#include "tests/support/data.h"

namespace ds {
namespace {

TEST(SqueezeNet, GivesThePublishedLogits) {
  const std::string weights = test::weights_folder() + "/imagenet_squeezenet1_1.safetensors";
  const std::string vectors = test::weights_folder() + "/imagenet_squeezenet1_1_testvector0.safetensors";
  DS_REQUIRE_DATA(weights);
  DS_REQUIRE_DATA(vectors);
  const ModulePtr net = models::make("squeezenet1_1", {.classes = 1000});
  load_model(SafetensorsFile(weights), *net);
  net->eval();
  const SafetensorsFile file(vectors);
  const FileLayout images{.kind = FileLayout::Kind::kConvolution};  // N,C,H,W to N,H,W,C
  const NoGrad no_grad;
  const auto found =
      (*net)(images.from_file(file.read("input"), {1, 224, 224, 3})).value().to_vector<float>();
  const auto expected = file.read("output").to_vector<float>();
  ASSERT_EQ(found.size(), expected.size());
  for (size_t c = 0; c < expected.size(); ++c) EXPECT_NEAR(found[c], expected[c], 2e-4) << c;
}

}  // namespace
}  // namespace ds
