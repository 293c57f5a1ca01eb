#include "models/densenet.h"

#include "autograd/functions.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/feature_classifier.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

constexpr int64_t kStem = 64;
constexpr int64_t kGrowth = 32;               // channels of a layer
constexpr int64_t kBottleneck = 4 * kGrowth;  // channels between its convolutions
constexpr int kLayers[] = {6, 12, 24, 16};    // of each block

std::shared_ptr<Conv2d> conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return std::make_shared<Conv2d>(
      in, out, Conv2dLayerOptions{.kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = false});
}

/// x and, beside its channels, conv2(relu(norm2(conv1(relu(norm1(x)))))).
class DenseLayer : public Module {
 public:
  explicit DenseLayer(int64_t in)
      : norm1_(add("norm1", std::make_shared<BatchNorm2d>(in))),
        conv1_(add("conv1", conv(in, kBottleneck, 1))),
        norm2_(add("norm2", std::make_shared<BatchNorm2d>(kBottleneck))),
        conv2_(add("conv2", conv(kBottleneck, kGrowth, 3))) {}

  Variable forward(const Variable& x) override {
    const Variable y = norm2_->with_relu((*conv1_)(norm1_->with_relu(x)));
    return concat({x, (*conv2_)(y)});
  }
  std::string describe() const override { return "DenseLayer"; }

 private:
  std::shared_ptr<BatchNorm2d> norm1_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> norm2_;
  std::shared_ptr<Conv2d> conv2_;
};

ModulePtr transition(int64_t in) {
  auto layers = std::make_shared<Sequential>();
  layers->push("norm", std::make_shared<BatchNorm2d>(in));
  layers->push("relu", std::make_shared<Relu>());
  layers->push("conv", conv(in, in / 2, 1));
  layers->push("pool", std::make_shared<AvgPool2d>());
  return layers;
}

struct Features {
  std::shared_ptr<Sequential> layers;
  int64_t channels;
};

Features make_features() {
  Features features{.layers = std::make_shared<Sequential>(), .channels = kStem};
  Sequential& layers = *features.layers;
  layers.push("conv0", conv(3, kStem, 7, 2));
  layers.push("norm0", std::make_shared<BatchNorm2d>(kStem));
  layers.push("relu0", std::make_shared<Relu>());
  layers.push("pool0", std::make_shared<MaxPool2d>(
                           Pool2dLayerOptions{.kernel = 3, .stride = Size2d(2), .padding = 1}));
  for (size_t i = 0; i < std::size(kLayers); ++i) {
    if (i > 0) {
      layers.push(fmt::format("transition{}", i), transition(features.channels));
      features.channels /= 2;
    }
    auto block = std::make_shared<Sequential>();
    for (int layer = 1; layer <= kLayers[i]; ++layer) {
      block->push(fmt::format("denselayer{}", layer), std::make_shared<DenseLayer>(features.channels));
      features.channels += kGrowth;
    }
    layers.push(fmt::format("denseblock{}", i + 1), block);
  }
  layers.push("norm5", std::make_shared<BatchNorm2d>(features.channels));
  layers.push("relu5", std::make_shared<Relu>());
  return features;
}

}  // namespace

ModulePtr densenet121(const ModelOptions& options) {
  const Features features = make_features();
  auto network = std::make_shared<FeatureClassifier>(
      "DenseNet121",
      FeatureClassifier::Parts{.features = features.layers,
                               .classifier = std::make_shared<Linear>(features.channels, options.classes)});
  for_each_layer<Conv2d>(*network, [](Conv2d& layer) {
    set_weight(layer, kaiming_normal(layer.weight().shape(), 0.0, Fan::kIn));
  });
  for_each_layer<Linear>(*network, [](Linear& layer) { zero_bias(layer); });
  return network;
}

}  // namespace ds::models
