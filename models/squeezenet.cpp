#include "models/squeezenet.h"

#include "autograd/functions.h"
#include "layers/activation.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/init.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

constexpr int64_t kFeatures = 512;

/// The two expansions have as many channels each.
class Fire : public Module {
 public:
  Fire(int64_t in, int64_t squeezed, int64_t expanded)
      : squeeze_(add("squeeze", std::make_shared<Conv2d>(in, squeezed))),
        expand1x1_(add("expand1x1", std::make_shared<Conv2d>(squeezed, expanded))),
        expand3x3_(add("expand3x3", std::make_shared<Conv2d>(
                                        squeezed, expanded, Conv2dLayerOptions{.kernel = 3, .padding = 1}))) {
  }

  Variable forward(const Variable& x) override {
    const Variable y = relu((*squeeze_)(x));
    return concat({relu((*expand1x1_)(y)), relu((*expand3x3_)(y))});
  }
  std::string describe() const override { return "Fire"; }

 private:
  std::shared_ptr<Conv2d> squeeze_;
  std::shared_ptr<Conv2d> expand1x1_;
  std::shared_ptr<Conv2d> expand3x3_;
};

ModulePtr fire(int64_t in, int64_t squeezed, int64_t expanded) {
  return std::make_shared<Fire>(in, squeezed, expanded);
}

ModulePtr pool() {
  return std::make_shared<MaxPool2d>(Pool2dLayerOptions{.kernel = 3, .stride = Size2d(2), .ceil_mode = true});
}

class SqueezeNet : public Module {
 public:
  SqueezeNet(std::string name, const std::shared_ptr<Sequential>& features, const ModelOptions& options)
      : name_(std::move(name)), features_(add("features", features)) {
    const auto last = std::make_shared<Conv2d>(kFeatures, options.classes);
    classifier_ = add("classifier", sequential(std::make_shared<Dropout>(), last, std::make_shared<Relu>(),
                                               std::make_shared<GlobalAvgPool2d>()));
    for_each_layer<Conv2d>(*this, [&](Conv2d& layer) {
      const Shape& shape = layer.weight().shape();
      set_weight(layer, &layer == last.get() ? normal(shape, 0.01) : kaiming_uniform(shape, 0.0));
      zero_bias(layer);
    });
  }

  Variable forward(const Variable& x) override { return (*classifier_)((*features_)(x)); }
  std::string describe() const override { return name_; }

 private:
  std::string name_;
  std::shared_ptr<Sequential> features_;
  std::shared_ptr<Sequential> classifier_;
};

ModulePtr stem(int64_t out, int64_t kernel) {
  return std::make_shared<Conv2d>(3, out, Conv2dLayerOptions{.kernel = kernel, .stride = 2});
}

}  // namespace

ModulePtr squeezenet1_0(const ModelOptions& options) {
  const auto features =
      sequential(stem(96, 7), std::make_shared<Relu>(), pool(), fire(96, 16, 64), fire(128, 16, 64),
                 fire(128, 32, 128), pool(), fire(256, 32, 128), fire(256, 48, 192), fire(384, 48, 192),
                 fire(384, 64, 256), pool(), fire(512, 64, 256));
  return std::make_shared<SqueezeNet>("SqueezeNet 1.0", features, options);
}

ModulePtr squeezenet1_1(const ModelOptions& options) {
  const auto features =
      sequential(stem(64, 3), std::make_shared<Relu>(), pool(), fire(64, 16, 64), fire(128, 16, 64), pool(),
                 fire(128, 32, 128), fire(256, 32, 128), pool(), fire(256, 48, 192), fire(384, 48, 192),
                 fire(384, 64, 256), fire(512, 64, 256));
  return std::make_shared<SqueezeNet>("SqueezeNet 1.1", features, options);
}

}  // namespace ds::models
