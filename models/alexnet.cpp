#include "models/alexnet.h"

#include "layers/activation.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/feature_classifier.h"

namespace ds::models {
namespace {

constexpr int64_t kPooled = 6;
constexpr int64_t kUnits = 4096;

ModulePtr conv(int64_t in, int64_t out, int64_t kernel) {
  return std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = kernel, .padding = kernel / 2});
}
ModulePtr activation() { return std::make_shared<Relu>(); }
ModulePtr pool() { return std::make_shared<MaxPool2d>(Pool2dLayerOptions{.kernel = 3, .stride = Size2d(2)}); }

}  // namespace

ModulePtr alexnet(const ModelOptions& options) {
  const auto stem =
      std::make_shared<Conv2d>(3, 64, Conv2dLayerOptions{.kernel = 11, .stride = 4, .padding = 2});
  const auto features =
      sequential(stem, activation(), pool(), conv(64, 192, 5), activation(), pool(), conv(192, 384, 3),
                 activation(), conv(384, 256, 3), activation(), conv(256, 256, 3), activation(), pool());
  const auto first = std::make_shared<Linear>(kPooled * kPooled * 256, kUnits,
                                              LinearOptions{.flattened = {kPooled, kPooled, 256}});
  const auto classifier = sequential(std::make_shared<Dropout>(), first, activation(),
                                     std::make_shared<Dropout>(), std::make_shared<Linear>(kUnits, kUnits),
                                     activation(), std::make_shared<Linear>(kUnits, options.classes));
  return std::make_shared<FeatureClassifier>(
      "AlexNet", FeatureClassifier::Parts{.features = features, .pooled = kPooled, .classifier = classifier});
}

}  // namespace ds::models
