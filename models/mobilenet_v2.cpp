#include "models/mobilenet_v2.h"

#include "layers/activation.h"
#include "layers/dropout.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/feature_classifier.h"
#include "models/initialise.h"
#include "models/inverted_residual.h"

namespace ds::models {
namespace {

ModulePtr activated(const ConvNorm& stage) {
  return sequential(stage.conv, stage.norm, std::make_shared<Relu6>());
}

class Block : public Module {
 public:
  explicit Block(const InvertedResidualOptions& options)
      : adds_input_(options.stride == 1 && options.in == options.out),
        conv_(add("conv", std::make_shared<Sequential>())) {
    if (options.expansion > 1) conv_->push(activated(expand(options)));
    conv_->push(activated(filter(options)));
    const ConvNorm projection = project(options);
    conv_->push(projection.conv);
    conv_->push(projection.norm);
  }

  Variable forward(const Variable& x) override {
    const Variable y = (*conv_)(x);
    return adds_input_ ? x + y : y;
  }
  std::string describe() const override { return "InvertedResidual"; }

 private:
  bool adds_input_;
  std::shared_ptr<Sequential> conv_;
};

}  // namespace

ModulePtr mobilenet_v2(const ModelOptions& options) {
  const auto features =
      sequential(activated(ConvNorm(3, kMobileNetV2Stem, {.kernel = 3, .stride = 2, .padding = 1})));
  for (const InvertedResidualOptions& block : mobilenet_v2_blocks(2)) {
    features->push(std::make_shared<Block>(block));
  }
  features->push(activated(ConvNorm(kMobileNetV2Last, kMobileNetV2Head)));
  const auto classifier =
      sequential(std::make_shared<Dropout>(0.2), std::make_shared<Linear>(kMobileNetV2Head, options.classes));
  auto network = std::make_shared<FeatureClassifier>(
      "MobileNetV2", FeatureClassifier::Parts{.features = features, .classifier = classifier});
  for_each_layer<Conv2d>(*network, [](Conv2d& layer) {
    set_weight(layer, kaiming_normal(layer.weight().shape(), 0.0, Fan::kOut));
  });
  for_each_layer<Linear>(*network, [](Linear& layer) {
    set_weight(layer, normal(layer.weight().shape(), 0.01));
    zero_bias(layer);
  });
  return network;
}

}  // namespace ds::models
