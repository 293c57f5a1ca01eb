#include "models/resnet18_cifar.h"

#include "autograd/functions.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/sequential.h"

namespace ds::models {
namespace {

std::shared_ptr<Conv2d> conv3x3(int64_t in, int64_t out, int64_t stride) {
  return std::make_shared<Conv2d>(
      in, out, Conv2dLayerOptions{.kernel = 3, .stride = stride, .padding = 1, .bias = false});
}

class BasicBlock : public Module {
 public:
  BasicBlock(int64_t in, int64_t out, int64_t stride)
      : conv1_(add("conv1", conv3x3(in, out, stride))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(out))),
        conv2_(add("conv2", conv3x3(out, out, 1))),
        bn2_(add("bn2", std::make_shared<BatchNorm2d>(out))),
        shortcut_(add("shortcut", std::make_shared<Sequential>())) {
    if (stride == 1 && in == out) return;  // an empty Sequential is the identity
    shortcut_->push(
        std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = 1, .stride = stride, .bias = false}));
    shortcut_->push(std::make_shared<BatchNorm2d>(out));
  }

  Variable forward(const Variable& x) override {
    const Variable y = bn1_->with_relu((*conv1_)(x));
    return bn2_->with_relu((*conv2_)(y), (*shortcut_)(x));
  }
  std::string describe() const override { return "BasicBlock"; }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm2d> bn2_;
  std::shared_ptr<Sequential> shortcut_;
};

class ResNet18Cifar : public Module {
 public:
  explicit ResNet18Cifar(const ModelOptions& options)
      : conv1_(add("conv1", conv3x3(3, 64, 1))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(64))),
        layer1_(add("layer1", stage(64, 64, 1))),
        layer2_(add("layer2", stage(64, 128, 2))),
        layer3_(add("layer3", stage(128, 256, 2))),
        layer4_(add("layer4", stage(256, 512, 2))),
        linear_(add("linear", std::make_shared<Linear>(512, options.classes))) {}

  Variable forward(const Variable& x) override {
    Variable y = bn1_->with_relu((*conv1_)(x));
    y = (*layer4_)((*layer3_)((*layer2_)((*layer1_)(y))));
    return (*linear_)(global_avg_pool2d(y));
  }
  std::string describe() const override { return "ResNet18 for CIFAR"; }

 private:
  static std::shared_ptr<Sequential> stage(int64_t in, int64_t out, int64_t stride) {
    auto blocks = std::make_shared<Sequential>();
    blocks->push(std::make_shared<BasicBlock>(in, out, stride));
    blocks->push(std::make_shared<BasicBlock>(out, out, 1));
    return blocks;
  }

  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Sequential> layer1_;
  std::shared_ptr<Sequential> layer2_;
  std::shared_ptr<Sequential> layer3_;
  std::shared_ptr<Sequential> layer4_;
  std::shared_ptr<Linear> linear_;
};

}  // namespace

ModulePtr resnet18_cifar(const ModelOptions& options) { return std::make_shared<ResNet18Cifar>(options); }

}  // namespace ds::models
