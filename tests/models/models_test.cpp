#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/random.h"
#include "core/safetensors.h"
#include "layers/convert.h"
#include "layers/summary.h"
#include "models/registry.h"
#include "tests/layers/support.h"
#include "tests/support/data.h"

namespace ds {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Models, HaveThePublishedNumbersOfParameters) {
  const std::vector<std::pair<std::string, int64_t>> expected = {
      {"alexnet", 61100840},
      {"densenet121", 7978856},
      {"googlenet", 13004888},  // 6624904 without the auxiliary heads
      {"googlenet_plain", 13004888},
      {"mnist_conv", 431080},
      {"mnist_fc", 669706},
      {"mobilenet_v2", 3504872},
      {"mobilenet_v2_cifar", 2296922},
      {"resnet101", 44549160},
      {"resnet110", 1727962},
      {"resnet18", 11689512},
      {"resnet18_cifar", 11173962},
      {"resnet20", 269722},
      {"resnet32", 464154},
      {"resnet34", 21797672},
      {"resnet44", 658586},
      {"resnet50", 25557032},
      {"resnet56", 853018},
      {"squeezenet1_0", 1248424},
      {"squeezenet1_1", 1235496},
      {"vgg16", 138357544},
      {"vgg16_bn", 138365992}};
  ASSERT_EQ(models::registry().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const models::ModelEntry& entry = models::registry()[i];
    EXPECT_EQ(entry.name, expected[i].first);
    const int64_t classes = entry.input == Shape{224, 224, 3} ? 1000 : 10;
    EXPECT_EQ(test::parameter_count(*entry.make({.classes = classes})), expected[i].second) << entry.name;
  }
}

TEST(Models, GiveARowOfLogitsForEachImageAlsoForOne) {
  for (const models::ModelEntry& entry : models::registry()) {
    const ModulePtr net = entry.make({.classes = 7});
    net->eval();
    const Shape& image = entry.input;
    for (const int64_t batch : {1, 2}) {
      const NoGrad no_grad;
      EXPECT_EQ((*net)(Tensor::full({batch, image[0], image[1], image[2]}, 0.5)).shape(), (Shape{batch, 7}))
          << entry.name;
    }
  }
}

TEST(Models, AreTracedAndConvertedAsAWhole) {
  for (const std::string name : {"resnet20", "mobilenet_v2_cifar", "mnist_conv"}) {
    const models::ModelEntry& entry = models::find(name);
    const ModulePtr net = entry.make({});
    const ConvertReport report = convert_to_shift(*net, {});
    EXPECT_EQ(report.converted(), static_cast<int64_t>(report.layers.size())) << name;
    const Summary summary = summarize(*net, entry.input);
    EXPECT_EQ(summary.multiply_accumulates, 0) << name;
    EXPECT_EQ(summary.parameters, test::parameter_count(*net)) << name;
  }
}

TEST(Models, ResNet20DoesThePublishedWork) {
  const ModulePtr net = models::make("resnet20");
  EXPECT_EQ(summarize(*net, {32, 32, 3}).multiply_accumulates, 40551040);
}

TEST(Models, ResNetsForImageNetDoThePublishedWork) {
  const auto work = [](const std::string& name) {
    return summarize(*models::make(name, {.classes = 1000}), {224, 224, 3}).multiply_accumulates;
  };
  EXPECT_EQ(work("resnet18"), 1814073344);
  EXPECT_EQ(work("resnet50"), 4089184256);
}

TEST(Models, NamesAreThoseOfPyTorchsFiles) {
  const std::string path = test::weights_folder() + "/cifar10_resnet20.safetensors";
  DS_REQUIRE_DATA(path);
  const SafetensorsFile file(path);
  const ModulePtr net = models::make("resnet20");
  std::set<std::string> names;
  for (const NamedParameter& parameter : net->named_parameters()) {
    ASSERT_TRUE(file.contains(parameter.name)) << parameter.name;
    EXPECT_EQ(file.entry(parameter.name).shape, parameter.layout.file_shape(parameter.value.shape()));
    names.insert(parameter.name);
  }
  for (const NamedBuffer& buffer : net->named_buffers()) {
    ASSERT_TRUE(file.contains(buffer.name)) << buffer.name;
    names.insert(buffer.name);
  }
  EXPECT_EQ(names.size(), file.names().size());
}

TEST(Models, NamesOfTheOthersAreTheUsualOnes) {
  const auto contains = [](const std::string& model, const std::vector<std::string>& expected) {
    EXPECT_THAT(test::parameter_names(*models::make(model)), testing::IsSupersetOf(expected)) << model;
  };
  contains("resnet18_cifar", {"layer2.0.shortcut.0.weight", "layer2.0.shortcut.1.bias",
                              "layer4.1.conv2.weight", "linear.bias"});
  contains("mobilenet_v2_cifar",
           {"layers.0.shortcut.0.weight", "layers.16.bn3.bias", "conv2.weight", "bn2.bias", "linear.weight"});
  contains("resnet18", {"conv1.weight", "layer2.0.downsample.0.weight", "layer2.0.downsample.1.bias",
                        "layer4.1.bn2.weight", "fc.bias"});
  contains("resnet50", {"layer1.0.downsample.0.weight", "layer4.2.conv3.weight", "layer4.2.bn3.bias"});
  EXPECT_THAT(test::parameter_names(*models::make("mnist_fc")),
              ElementsAre("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"));
  EXPECT_THAT(test::parameter_names(*models::make("mnist_conv")),
              ElementsAre("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc1.weight",
                          "fc1.bias", "fc2.weight", "fc2.bias"));
}

TEST(Models, SeedsFixTheInitialWeights) {
  const auto first_weights = [](uint64_t seed) {
    manual_seed(seed);
    return models::make("resnet20")->parameters()[0].value().to_vector<float>();
  };
  EXPECT_EQ(first_weights(1), first_weights(1));
  EXPECT_NE(first_weights(1), first_weights(2));
}

TEST(Models, UnknownNamesAreAnsweredWithTheKnownOnes) {
  const std::string error = error_of([] { models::make("resnet21"); });
  EXPECT_THAT(error, HasSubstr("resnet21"));
  EXPECT_THAT(error,
              HasSubstr("mobilenet_v2_cifar, resnet101, resnet110, resnet18, resnet18_cifar, resnet20"));
  EXPECT_THAT(error_of([] { models::make("resnet20", {.classes = 0}); }), HasSubstr("0 classes"));
}

}  // namespace
}  // namespace ds
