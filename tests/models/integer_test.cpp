// The networks for ImageNet with weights of powers of two, lowered: the reference and the fast executor give
// equal integers.
#include <gtest/gtest.h>

#include "infer/cpu/cpu_net.h"
#include "infer/lower.h"
#include "infer/reference.h"
#include "layers/convert.h"
#include "layers/init.h"
#include "models/initialise.h"
#include "models/registry.h"
#include "tests/infer/networks.h"

namespace ds {
namespace {

struct IntegerCase {
  const char* name;
  int64_t side;

  friend void PrintTo(const IntegerCase& row, std::ostream* stream) { *stream << row.name; }
};

class IntegerNetworks : public testing::TestWithParam<IntegerCase> {};

TEST_P(IntegerNetworks, GiveEqualIntegersByReferenceAndCpuNet) {
  const auto& [name, side] = GetParam();
  manual_seed(1);
  const ModulePtr network = models::make(name, {.classes = 10});
  models::for_each_layer<WeightedLayer>(*network, [](WeightedLayer& layer) {
    models::set_weight(layer,
                       kaiming_normal(layer.weight().shape()));  // also GoogLeNet's logits follow the image
  });
  const ConvertReport report = convert_to_shift(*network, {.weight_bits = 4});
  EXPECT_EQ(report.converted(), static_cast<int64_t>(report.layers.size()));
  const infer::LowerOptions options{.mean = {0.485F, 0.456F, 0.406F}, .deviation = {0.229F, 0.224F, 0.225F}};
  const Tensor images = test::random_images(2, {side, side, 3}, 1);
  network->eval();
  const infer::IntegerNet net =
      infer::lower(trace(*network, test::normalised(images.slice(0, 1), options)), images, options);
  const Tensor image = test::random_images(1, {side, side, 3}, 2);
  const infer::CpuNet fast(net);
  const auto logits = fast(image).to_vector<int32_t>();
  EXPECT_EQ(logits, infer::run_reference(net, image).to_vector<int32_t>());
  EXPECT_NE(logits, fast(images.slice(0, 1)).to_vector<int32_t>());
}

/// The smallest sides that the linear layers or the poolings take. VGG16, which needs 224 and 15 billion
/// additions, is left out.
INSTANTIATE_TEST_SUITE_P(, IntegerNetworks,
                         testing::Values(IntegerCase{"alexnet", 224}, IntegerCase{"densenet121", 64},
                                         IntegerCase{"googlenet", 64}, IntegerCase{"mobilenet_v2", 64},
                                         IntegerCase{"resnet18", 64}, IntegerCase{"resnet50", 64},
                                         IntegerCase{"squeezenet1_0", 64}, IntegerCase{"squeezenet1_1", 64}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ds
