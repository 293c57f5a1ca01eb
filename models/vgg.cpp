#include "models/vgg.h"

#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/feature_classifier.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

struct Stage {
  int64_t channels;
  int convolutions;  // before a pooling
};
constexpr Stage kStages[] = {{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}};
constexpr int64_t kFeatures = 512;
constexpr int64_t kPooled = 7;
constexpr int64_t kUnits = 4096;

std::shared_ptr<Sequential> make_features(bool batch_norm) {
  auto features = std::make_shared<Sequential>();
  int64_t in = 3;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.convolutions; ++i) {
      features->push(
          std::make_shared<Conv2d>(in, stage.channels, Conv2dLayerOptions{.kernel = 3, .padding = 1}));
      if (batch_norm) features->push(std::make_shared<BatchNorm2d>(stage.channels));
      features->push(std::make_shared<Relu>());
      in = stage.channels;
    }
    features->push(std::make_shared<MaxPool2d>());
  }
  return features;
}

std::shared_ptr<Sequential> make_classifier(int64_t classes) {
  const auto first = std::make_shared<Linear>(kPooled * kPooled * kFeatures, kUnits,
                                              LinearOptions{.flattened = {kPooled, kPooled, kFeatures}});
  return sequential(first, std::make_shared<Relu>(), std::make_shared<Dropout>(),
                    std::make_shared<Linear>(kUnits, kUnits), std::make_shared<Relu>(),
                    std::make_shared<Dropout>(), std::make_shared<Linear>(kUnits, classes));
}

ModulePtr make_vgg(const std::string& name, bool batch_norm, const ModelOptions& options) {
  auto network = std::make_shared<FeatureClassifier>(
      name, FeatureClassifier::Parts{.features = make_features(batch_norm),
                                     .pooled = kPooled,
                                     .classifier = make_classifier(options.classes)});
  for_each_layer<Conv2d>(*network, [](Conv2d& layer) {
    set_weight(layer, kaiming_normal(layer.weight().shape(), 0.0, Fan::kOut));
    zero_bias(layer);
  });
  for_each_layer<Linear>(*network, [](Linear& layer) {
    set_weight(layer, normal(layer.weight().shape(), 0.01));
    zero_bias(layer);
  });
  return network;
}

}  // namespace

ModulePtr vgg16(const ModelOptions& options) { return make_vgg("VGG16", false, options); }
ModulePtr vgg16_bn(const ModelOptions& options) { return make_vgg("VGG16 with batch norm", true, options); }

}  // namespace ds::models
