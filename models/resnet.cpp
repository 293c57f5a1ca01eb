#include "models/resnet.h"

#include <array>
#include <vector>

#include "autograd/functions.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/sequential.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

constexpr std::array<int64_t, 4> kWidths = {64, 128, 256, 512};

/// With a padding that keeps the size at stride 1. Drawn by the fan-out, as in torchvision.
std::shared_ptr<Conv2d> convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  auto layer = std::make_shared<Conv2d>(
      in, out, Conv2dLayerOptions{.kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = false});
  set_weight(*layer, kaiming_normal(layer->weight().shape(), 0.0, Fan::kOut));
  return layer;
}

/// relu(branch(x) + shortcut(x)); the branch is convolutions with batch norm, ReLU between them.
class Block : public Module {
 public:
  struct Stage {
    int64_t kernel;
    int64_t outputs;
    int64_t stride;
  };

  Block(int64_t in, const std::vector<Stage>& stages)
      : name_(stages.size() == 2 ? "BasicBlock" : "Bottleneck") {
    int64_t channels = in;
    int64_t stride = 1;
    for (size_t i = 0; i < stages.size(); ++i) {
      const Stage& stage = stages[i];
      convolutions_.push_back(add("conv" + std::to_string(i + 1),
                                  convolution(channels, stage.outputs, stage.kernel, stage.stride)));
      norms_.push_back(add("bn" + std::to_string(i + 1), std::make_shared<BatchNorm2d>(stage.outputs)));
      channels = stage.outputs;
      stride *= stage.stride;
    }
    if (stride == 1 && in == channels) return;
    downsample_ = add("downsample", sequential(convolution(in, channels, 1, stride),
                                               std::make_shared<BatchNorm2d>(channels)));
  }

  Variable forward(const Variable& x) override {
    Variable y = x;
    for (size_t i = 0; i + 1 < norms_.size(); ++i) y = norms_[i]->with_relu((*convolutions_[i])(y));
    const Variable last = (*convolutions_.back())(y);
    return norms_.back()->with_relu(last, downsample_ ? (*downsample_)(x) : x);
  }
  std::string describe() const override { return name_; }

 private:
  std::string name_;
  std::vector<std::shared_ptr<Conv2d>> convolutions_;
  std::vector<std::shared_ptr<BatchNorm2d>> norms_;
  std::shared_ptr<Sequential> downsample_;
};

class ResNet : public Module {
 public:
  ResNet(const std::array<int, 4>& blocks, bool bottleneck, const ModelOptions& options)
      : conv1_(add("conv1", convolution(3, kWidths[0], 7, 2))),
        bn1_(add("bn1", std::make_shared<BatchNorm2d>(kWidths[0]))) {
    int64_t channels = kWidths[0];
    int depth = 2;
    for (size_t stage = 0; stage < kWidths.size(); ++stage) {
      auto layers = std::make_shared<Sequential>();
      for (int block = 0; block < blocks[stage]; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        layers->push(make_block(channels, kWidths[stage], stride, bottleneck));
        channels = kWidths[stage] * (bottleneck ? 4 : 1);
      }
      depth += blocks[stage] * (bottleneck ? 3 : 2);
      stages_.push_back(add("layer" + std::to_string(stage + 1), layers));
    }
    fc_ = add("fc", std::make_shared<Linear>(channels, options.classes));
    name_ = fmt::format("ResNet{}", depth);
  }

  Variable forward(const Variable& x) override {
    Variable y = bn1_->with_relu((*conv1_)(x));
    y = max_pool2d(y, {.kernel = 3, .stride = 2, .padding = 1});
    for (const auto& stage : stages_) y = (*stage)(y);
    return (*fc_)(global_avg_pool2d(y));
  }
  std::string describe() const override { return name_; }

 private:
  static std::shared_ptr<Block> make_block(int64_t in, int64_t width, int64_t stride, bool bottleneck) {
    using Stages = std::vector<Block::Stage>;
    return std::make_shared<Block>(in, bottleneck
                                           ? Stages{{1, width, 1}, {3, width, stride}, {1, 4 * width, 1}}
                                           : Stages{{3, width, stride}, {3, width, 1}});
  }

  std::string name_;
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<BatchNorm2d> bn1_;
  std::vector<std::shared_ptr<Sequential>> stages_;
  std::shared_ptr<Linear> fc_;
};

}  // namespace

ModulePtr resnet18(const ModelOptions& options) {
  return std::make_shared<ResNet>(std::array{2, 2, 2, 2}, false, options);
}
ModulePtr resnet34(const ModelOptions& options) {
  return std::make_shared<ResNet>(std::array{3, 4, 6, 3}, false, options);
}
ModulePtr resnet50(const ModelOptions& options) {
  return std::make_shared<ResNet>(std::array{3, 4, 6, 3}, true, options);
}
ModulePtr resnet101(const ModelOptions& options) {
  return std::make_shared<ResNet>(std::array{3, 4, 23, 3}, true, options);
}

}  // namespace ds::models
