#include "models/mobilenet_v2_cifar.h"

#include "autograd/functions.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/sequential.h"

namespace ds::models {
namespace {

std::shared_ptr<Conv2d> conv1x1(int64_t in, int64_t out) {
  return std::make_shared<Conv2d>(in, out, Conv2dLayerOptions{.kernel = 1, .bias = false});
}

/// Expand by 1x1, filter each channel by 3x3, project by 1x1 without an activation. With stride 1 the input
/// is added, through a 1x1 convolution where the number of channels changes.
class InvertedResidual : public Module {
 public:
  InvertedResidual(int64_t in, int64_t out, int64_t expansion, int64_t stride)
      : stride_(stride),
        conv1_(add("conv1", conv1x1(in, in * expansion))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(in * expansion))),
        conv2_(add(
            "conv2",
            std::make_shared<Conv2d>(
                in * expansion, in * expansion,
                Conv2dLayerOptions{
                    .kernel = 3, .stride = stride, .padding = 1, .groups = in * expansion, .bias = false}))),
        bn2_(add("bn2", std::make_shared<BatchNorm2d>(in * expansion))),
        conv3_(add("conv3", conv1x1(in * expansion, out))),
        bn3_(add("bn3", std::make_shared<BatchNorm2d>(out))),
        shortcut_(add("shortcut", std::make_shared<Sequential>())) {
    if (stride != 1 || in == out) return;  // no shortcut, or the identity
    shortcut_->push(conv1x1(in, out));
    shortcut_->push(std::make_shared<BatchNorm2d>(out));
  }

  Variable forward(const Variable& x) override {
    Variable y = bn1_->with_relu((*conv1_)(x));
    y = bn2_->with_relu((*conv2_)(y));
    y = (*bn3_)((*conv3_)(y));
    return stride_ == 1 ? y + (*shortcut_)(x) : y;
  }
  std::string describe() const override { return "InvertedResidual"; }

 private:
  int64_t stride_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm2d> bn2_;
  std::shared_ptr<Conv2d> conv3_;
  std::shared_ptr<BatchNorm2d> bn3_;
  std::shared_ptr<Sequential> shortcut_;
};

struct Stage {
  int64_t expansion;
  int64_t channels;
  int64_t blocks;
  int64_t stride;
};
constexpr Stage kStages[] = {{1, 16, 1, 1}, {6, 24, 2, 1},  {6, 32, 3, 2}, {6, 64, 4, 2},
                             {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
constexpr int64_t kStem = 32;
constexpr int64_t kHead = 1280;

class MobileNetV2Cifar : public Module {
 public:
  explicit MobileNetV2Cifar(const ModelOptions& options)
      : conv1_(add("conv1", std::make_shared<Conv2d>(
                                3, kStem, Conv2dLayerOptions{.kernel = 3, .padding = 1, .bias = false}))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(kStem))),
        layers_(add("layers", std::make_shared<Sequential>())),
        conv2_(add("conv2", conv1x1(kStages[6].channels, kHead))),
        bn2_(add("bn2", std::make_shared<BatchNorm2d>(kHead))),
        linear_(add("linear", std::make_shared<Linear>(kHead, options.classes))) {
    int64_t in = kStem;
    for (const Stage& stage : kStages) {
      for (int64_t block = 0; block < stage.blocks; ++block) {
        layers_->push(std::make_shared<InvertedResidual>(in, stage.channels, stage.expansion,
                                                         block == 0 ? stage.stride : 1));
        in = stage.channels;
      }
    }
  }

  Variable forward(const Variable& x) override {
    Variable y = bn1_->with_relu((*conv1_)(x));
    y = (*layers_)(y);
    y = bn2_->with_relu((*conv2_)(y));
    return (*linear_)(global_avg_pool2d(y));
  }
  std::string describe() const override { return "MobileNetV2 for CIFAR"; }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Sequential> layers_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm2d> bn2_;
  std::shared_ptr<Linear> linear_;
};

}  // namespace

ModulePtr mobilenet_v2_cifar(const ModelOptions& options) {
  return std::make_shared<MobileNetV2Cifar>(options);
}

}  // namespace ds::models
