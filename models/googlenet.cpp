#include "models/googlenet.h"

#include <utility>

#include "autograd/functions.h"
#include "autograd/recompute.h"
#include "core/error.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/init.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/sequential.h"
#include "models/initialise.h"

namespace ds::models {
namespace {

/// relu(bn(conv(x))), the size kept at stride 1.
class BasicConv2d : public Module {
 public:
  BasicConv2d(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1)
      : conv_(
            add("conv", std::make_shared<Conv2d>(
                            in, out,
                            Conv2dLayerOptions{
                                .kernel = kernel, .stride = stride, .padding = kernel / 2, .bias = false}))),
        bn_(add("bn", std::make_shared<BatchNorm2d>(out, BatchNorm2dOptions{.eps = 1e-3}))) {}

  Variable forward(const Variable& x) override { return bn_->with_relu((*conv_)(x)); }
  std::string describe() const override { return "BasicConv2d"; }

 private:
  std::shared_ptr<Conv2d> conv_;
  std::shared_ptr<BatchNorm2d> bn_;
};

std::shared_ptr<BasicConv2d> conv(int64_t in, int64_t out, int64_t kernel = 1) {
  return std::make_shared<BasicConv2d>(in, out, kernel);
}

/// Channels of the branches: 1x1; 1x1 then 3x3; 1x1 then 3x3; 3x3 pooling then 1x1.
struct InceptionWidths {
  int64_t first;
  int64_t second_reduced;
  int64_t second;
  int64_t third_reduced;
  int64_t third;
  int64_t fourth;
};

class Inception : public Module {
 public:
  Inception(int64_t in, const InceptionWidths& w) {
    const Pool2dLayerOptions pool{.kernel = 3, .stride = Size2d(1), .padding = 1, .ceil_mode = true};
    branches_ = {conv(in, w.first),
                 sequential(conv(in, w.second_reduced), conv(w.second_reduced, w.second, 3)),
                 sequential(conv(in, w.third_reduced), conv(w.third_reduced, w.third, 3)),
                 sequential(std::make_shared<MaxPool2d>(pool), conv(in, w.fourth))};
    for (size_t i = 0; i < branches_.size(); ++i) add(fmt::format("branch{}", i + 1), branches_[i]);
  }

  Variable forward(const Variable& x) override {
    std::vector<Variable> parts;
    for (const ModulePtr& branch : branches_) parts.push_back((*branch)(x));
    return concat(parts);
  }
  std::string describe() const override { return "Inception"; }

 private:
  std::vector<ModulePtr> branches_;
};

/// Logits from the middle of the network: 4x4 means, a 1x1 convolution, two linear layers.
class AuxiliaryHead : public Module {
 public:
  AuxiliaryHead(int64_t in, int64_t classes)
      : conv_(add("conv", conv(in, kChannels))),
        fc1_(add("fc1", std::make_shared<Linear>(kPooled * kPooled * kChannels, kUnits,
                                                 LinearOptions{.flattened = {kPooled, kPooled, kChannels}}))),
        fc2_(add("fc2", std::make_shared<Linear>(kUnits, classes))),
        dropout_(add("dropout", std::make_shared<Dropout>(0.7))) {}

  Variable forward(const Variable& x) override {
    const Variable y = flatten((*conv_)(adaptive_avg_pool2d(x, kPooled)));
    return (*fc2_)((*dropout_)(relu((*fc1_)(y))));
  }
  std::string describe() const override { return "AuxiliaryHead"; }

 private:
  static constexpr int64_t kPooled = 4;
  static constexpr int64_t kChannels = 128;
  static constexpr int64_t kUnits = 1024;

  std::shared_ptr<BasicConv2d> conv_;
  std::shared_ptr<Linear> fc1_;
  std::shared_ptr<Linear> fc2_;
  std::shared_ptr<Dropout> dropout_;
};

/// From ImageNet's mean and deviation to 0.5 and 0.5. A batch norm with constants: inference folds it away.
Variable transform_input(const Variable& x) {
  const auto constant = [&](const std::vector<double>& values) {
    return Tensor::from(values, {3}).to(x.value().dtype()).to(x.value().device());
  };
  const Tensor scale = constant({0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5});
  const Tensor shift = constant({(0.485 - 0.5) / 0.5, (0.456 - 0.5) / 0.5, (0.406 - 0.5) / 0.5});
  Tensor mean = constant({0.0, 0.0, 0.0});
  Tensor variance = constant({1.0, 1.0, 1.0});
  return batch_norm(x, scale, shift, mean, variance, {.eps = 0.0});
}

ModulePtr pool(int64_t kernel) {
  return std::make_shared<MaxPool2d>(
      Pool2dLayerOptions{.kernel = kernel, .stride = Size2d(2), .ceil_mode = true});
}

class GoogLeNet : public Module {
 public:
  GoogLeNet(bool transforms_input, const ModelOptions& options) : transforms_input_(transforms_input) {
    push(stem_, "conv1", std::make_shared<BasicConv2d>(3, 64, 7, 2));
    push(stem_, "maxpool1", pool(3));
    push(stem_, "conv2", conv(64, 64));
    push(stem_, "conv3", conv(64, 192, 3));
    push(stem_, "maxpool2", pool(3));
    push_inception(stem_, "inception3a", {64, 96, 128, 16, 32, 32});
    push_inception(stem_, "inception3b", {128, 128, 192, 32, 96, 64});
    push(stem_, "maxpool3", pool(3));
    push_inception(stem_, "inception4a", {192, 96, 208, 16, 48, 64});
    aux1_ = add_head("aux1", options.classes);
    push_inception(middle_, "inception4b", {160, 112, 224, 24, 64, 64});
    push_inception(middle_, "inception4c", {128, 128, 256, 24, 64, 64});
    push_inception(middle_, "inception4d", {112, 144, 288, 32, 64, 64});
    aux2_ = add_head("aux2", options.classes);
    push_inception(top_, "inception4e", {256, 160, 320, 32, 128, 128});
    push(top_, "maxpool4", pool(2));
    push_inception(top_, "inception5a", {256, 160, 320, 32, 128, 128});
    push_inception(top_, "inception5b", {384, 192, 384, 48, 128, 128});
    dropout_ = add("dropout", std::make_shared<Dropout>(0.2));
    fc_ = add("fc", std::make_shared<Linear>(channels_, options.classes));
    for_each_layer<WeightedLayer>(
        *this, [](WeightedLayer& layer) { set_weight(layer, normal(layer.weight().shape(), 0.01)); });
  }

  Variable forward(const Variable& x) override {
    if (!auxiliary_.empty()) auxiliary_.clear();  // evaluation writes nothing
    Variable y = run(stem_, transforms_input_ ? transform_input(x) : x);
    add_auxiliary(*aux1_, y);
    y = run(middle_, y);
    add_auxiliary(*aux2_, y);
    y = run(top_, y);
    return (*fc_)((*dropout_)(global_avg_pool2d(y)));
  }
  std::vector<Variable> take_auxiliary() override { return std::exchange(auxiliary_, {}); }
  std::string describe() const override { return "GoogLeNet"; }

 private:
  using Modules = std::vector<ModulePtr>;

  void push(Modules& part, const std::string& name, const ModulePtr& module) {
    part.push_back(add(name, module));
  }
  void push_inception(Modules& part, const std::string& name, const InceptionWidths& widths) {
    push(part, name, std::make_shared<Inception>(channels_, widths));
    channels_ = widths.first + widths.second + widths.third + widths.fourth;
  }
  std::shared_ptr<AuxiliaryHead> add_head(const std::string& name, int64_t classes) {
    auto head = add(name, std::make_shared<AuxiliaryHead>(channels_, classes));
    head->set_training_only();
    return head;
  }

  static Variable run(const Modules& part, const Variable& x) {
    Variable y = x;
    for (const ModulePtr& module : part) y = (*module)(y);
    return y;
  }

  void add_auxiliary(AuxiliaryHead& head, const Variable& x) {
    if (!training() || tracing()) return;
    DS_CHECK(
        !recomputing(),
        "[googlenet] auxiliary logits are lost where the whole network is computed again: set_recompute() "
        "its parts");
    auxiliary_.push_back(head(x));
  }

  bool transforms_input_;
  int64_t channels_ = 192;  // of what was pushed last
  Modules stem_;            // up to the first auxiliary head
  Modules middle_;          // up to the second
  Modules top_;
  std::shared_ptr<AuxiliaryHead> aux1_;
  std::shared_ptr<AuxiliaryHead> aux2_;
  std::shared_ptr<Dropout> dropout_;
  std::shared_ptr<Linear> fc_;
  std::vector<Variable> auxiliary_;  // logits of the last forward pass
};

}  // namespace

ModulePtr googlenet(const ModelOptions& options) { return std::make_shared<GoogLeNet>(true, options); }
ModulePtr googlenet_plain(const ModelOptions& options) { return std::make_shared<GoogLeNet>(false, options); }

}  // namespace ds::models
