// A trained network on the whole real test set, as it is and rounded to powers of two. The expected counts
// were computed independently; only the order of float additions may differ.
#include <gtest/gtest.h>

#include <cstdlib>

#include "data/cifar.h"
#include "data/loader.h"
#include "layers/checkpoint.h"
#include "layers/convert.h"
#include "models/evaluate.h"
#include "models/registry.h"
#include "tests/support/data.h"

namespace ds {
namespace {

struct Expected {
  const char* name;
  std::optional<ShiftFormat> format;
  int64_t correct;  // of 10,000
  int64_t tolerance;
};

class Pretrained : public testing::TestWithParam<Expected> {};

TEST_P(Pretrained, ResNet20NamesAsManyTestImages) {
  const std::string weights = test::weights_folder() + "/cifar10_resnet20.safetensors";
  const std::string data = test::data_folder() + "/cifar-10-batches-bin";
  DS_REQUIRE_DATA(weights);
  DS_REQUIRE_DATA(data);
  const ModulePtr net = models::make("resnet20");
  load_model(SafetensorsFile(weights), *net);
  const auto& [name, format, correct, tolerance] = GetParam();
  if (format) convert_to_shift(*net, {.method = format->method, .weight_bits = format->bits});
  DataLoader loader(cifar10(data, Split::kTest), {.batch = 250, .normalization = imagenet_normalization()});
  const Evaluation result = evaluate(*net, loader);
  EXPECT_EQ(result.total, 10000);
  EXPECT_LE(std::abs(result.correct - correct), tolerance) << result.correct << ", expected " << correct;
}

INSTANTIATE_TEST_SUITE_P(
    Cifar10, Pretrained,
    testing::Values(Expected{"float32", std::nullopt, 9173, 2},
                    Expected{"q4", ShiftFormat{.method = ShiftMethod::kQ, .bits = 4}, 8370, 3},
                    Expected{"ps4", ShiftFormat{.method = ShiftMethod::kPs, .bits = 4}, 8349, 3}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ds
