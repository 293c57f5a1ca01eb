#include "models/resnet_cifar.h"

#include "autograd/functions.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "layers/weighted_layer.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

class BasicBlock : public Module {
 public:
  BasicBlock(int64_t in, int64_t out, int64_t stride)
      : stride_(stride),
        new_channels_(out - in),
        conv1_(add(
            "conv1",
            std::make_shared<Conv2d>(
                in, out, Conv2dLayerOptions{.kernel = 3, .stride = stride, .padding = 1, .bias = false}))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(out))),
        conv2_(add("conv2", std::make_shared<Conv2d>(
                                out, out, Conv2dLayerOptions{.kernel = 3, .padding = 1, .bias = false}))),
        bn2_(add("bn2", std::make_shared<BatchNorm2d>(out))) {}

  Variable forward(const Variable& x) override {
    const Variable y = bn1_->with_relu((*conv1_)(x));
    return bn2_->with_relu((*conv2_)(y), shortcut(x));
  }
  std::string describe() const override { return "BasicBlock(option A)"; }

 private:
  Variable shortcut(const Variable& x) const {
    if (stride_ == 1 && new_channels_ == 0) return x;
    return pad_channels(subsample2d(x, stride_),
                        {.before = new_channels_ / 2, .after = new_channels_ - new_channels_ / 2});
  }

  int64_t stride_;
  int64_t new_channels_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<BatchNorm2d> bn2_;
};

class ResNetCifar : public Module {
 public:
  ResNetCifar(int blocks_per_stage, const ModelOptions& options)
      : depth_(6 * blocks_per_stage + 2),
        conv1_(add("conv1", std::make_shared<Conv2d>(
                                3, 16, Conv2dLayerOptions{.kernel = 3, .padding = 1, .bias = false}))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(16))),
        layer1_(add("layer1", stage(blocks_per_stage, 16, 16, 1))),
        layer2_(add("layer2", stage(blocks_per_stage, 16, 32, 2))),
        layer3_(add("layer3", stage(blocks_per_stage, 32, 64, 2))),
        linear_(add("linear", std::make_shared<Linear>(64, options.classes))) {
    // He et al. 2016 draw them so; PyTorch's default starts with smaller weights, and trains slower.
    for (const NamedLayer& named : weighted_layers(*this)) {
      set_weight(*named.layer, kaiming_normal(named.layer->weight().shape(), 0.0));
    }
  }

  Variable forward(const Variable& x) override {
    Variable y = bn1_->with_relu((*conv1_)(x));
    y = (*layer3_)((*layer2_)((*layer1_)(y)));
    return (*linear_)(global_avg_pool2d(y));
  }
  std::string describe() const override { return fmt::format("ResNet{} for CIFAR", depth_); }

 private:
  static std::shared_ptr<Sequential> stage(int blocks, int64_t in, int64_t out, int64_t stride) {
    auto layers = std::make_shared<Sequential>();
    for (int block = 0; block < blocks; ++block) {
      layers->push(std::make_shared<BasicBlock>(block == 0 ? in : out, out, block == 0 ? stride : 1));
    }
    return layers;
  }

  int depth_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::shared_ptr<Sequential> layer1_;
  std::shared_ptr<Sequential> layer2_;
  std::shared_ptr<Sequential> layer3_;
  std::shared_ptr<Linear> linear_;
};

}  // namespace

ModulePtr resnet_cifar(int blocks_per_stage, const ModelOptions& options) {
  return std::make_shared<ResNetCifar>(blocks_per_stage, options);
}

ModulePtr resnet20(const ModelOptions& options) { return resnet_cifar(3, options); }
ModulePtr resnet32(const ModelOptions& options) { return resnet_cifar(5, options); }
ModulePtr resnet44(const ModelOptions& options) { return resnet_cifar(7, options); }
ModulePtr resnet56(const ModelOptions& options) { return resnet_cifar(9, options); }
ModulePtr resnet110(const ModelOptions& options) { return resnet_cifar(18, options); }

}  // namespace ds::models
