#include "models/mobilenet_v2_cifar.h"

#include <array>

#include "autograd/functions.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/inverted_residual.h"

namespace ds::models {
namespace {

/// With stride 1 the input is added, through a 1x1 convolution where the number of channels changes.
class Block : public Module {
 public:
  explicit Block(const InvertedResidualOptions& options)
      : stride_(options.stride), stages_{expand(options), filter(options), project(options)} {
    for (size_t i = 0; i < stages_.size(); ++i) {
      add(fmt::format("conv{}", i + 1), stages_[i].conv);
      add(fmt::format("bn{}", i + 1), stages_[i].norm);
    }
    shortcut_ = add("shortcut", std::make_shared<Sequential>());
    if (options.stride != 1 || options.in == options.out) return;  // no shortcut, or the identity
    const ConvNorm shortcut(options.in, options.out);
    shortcut_->push(shortcut.conv);
    shortcut_->push(shortcut.norm);
  }

  Variable forward(const Variable& x) override {
    const auto& [expansion, depthwise, projection] = stages_;
    Variable y = expansion.norm->with_relu((*expansion.conv)(x));
    y = depthwise.norm->with_relu((*depthwise.conv)(y));
    y = (*projection.norm)((*projection.conv)(y));
    return stride_ == 1 ? y + (*shortcut_)(x) : y;
  }
  std::string describe() const override { return "InvertedResidual"; }

 private:
  int64_t stride_;
  std::array<ConvNorm, 3> stages_;
  std::shared_ptr<Sequential> shortcut_;
};

class MobileNetV2Cifar : public Module {
 public:
  explicit MobileNetV2Cifar(const ModelOptions& options)
      : stem_(3, kMobileNetV2Stem, {.kernel = 3, .padding = 1}),
        layers_(std::make_shared<Sequential>()),
        head_(kMobileNetV2Last, kMobileNetV2Head),
        linear_(std::make_shared<Linear>(kMobileNetV2Head, options.classes)) {
    add("conv1", stem_.conv);
    add("bn1", stem_.norm);
    add("layers", layers_);
    add("conv2", head_.conv);
    add("bn2", head_.norm);
    add("linear", linear_);
    for (const InvertedResidualOptions& block : mobilenet_v2_blocks(1)) {
      layers_->push(std::make_shared<Block>(block));
    }
  }

  Variable forward(const Variable& x) override {
    Variable y = stem_.norm->with_relu((*stem_.conv)(x));
    y = (*layers_)(y);
    y = head_.norm->with_relu((*head_.conv)(y));
    return (*linear_)(global_avg_pool2d(y));
  }
  std::string describe() const override { return "MobileNetV2 for CIFAR"; }

 private:
  ConvNorm stem_;
  std::shared_ptr<Sequential> layers_;
  ConvNorm head_;
  std::shared_ptr<Linear> linear_;
};

}  // namespace

ModulePtr mobilenet_v2_cifar(const ModelOptions& options) {
  return std::make_shared<MobileNetV2Cifar>(options);
}

}  // namespace ds::models
