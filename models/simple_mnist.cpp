#include "models/simple_mnist.h"

#include "autograd/functions.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/linear.h"

namespace ds::models {
namespace {

class MnistFc : public Module {
 public:
  explicit MnistFc(const ModelOptions& options)
      : fc1_(add("fc1", std::make_shared<Linear>(28 * 28, 512))),
        dropout1_(add("dropout1", std::make_shared<Dropout>(0.2))),
        fc2_(add("fc2", std::make_shared<Linear>(512, 512))),
        dropout2_(add("dropout2", std::make_shared<Dropout>(0.2))),
        fc3_(add("fc3", std::make_shared<Linear>(512, options.classes))) {}

  Variable forward(const Variable& x) override {
    Variable y = (*dropout1_)(relu((*fc1_)(flatten(x))));
    y = (*dropout2_)(relu((*fc2_)(y)));
    return (*fc3_)(y);
  }
  std::string describe() const override { return "784-512-512 fully connected"; }

 private:
  std::shared_ptr<Linear> fc1_;
  std::shared_ptr<Dropout> dropout1_;
  std::shared_ptr<Linear> fc2_;
  std::shared_ptr<Dropout> dropout2_;
  std::shared_ptr<Linear> fc3_;
};

class MnistConv : public Module {
 public:
  explicit MnistConv(const ModelOptions& options)
      : conv1_(add("conv1", std::make_shared<Conv2d>(1, 20, Conv2dLayerOptions{.kernel = 5}))),
        conv2_(add("conv2", std::make_shared<Conv2d>(20, 50, Conv2dLayerOptions{.kernel = 5}))),
        fc1_(add("fc1", std::make_shared<Linear>(4 * 4 * 50, 500, LinearOptions{.flattened = {4, 4, 50}}))),
        fc2_(add("fc2", std::make_shared<Linear>(500, options.classes))) {}

  Variable forward(const Variable& x) override {
    const Pool2dOptions pool{.kernel = 2, .stride = 2};
    Variable y = max_pool2d(relu((*conv1_)(x)), pool);
    y = max_pool2d(relu((*conv2_)(y)), pool);
    return (*fc2_)(relu((*fc1_)(flatten(y))));
  }
  std::string describe() const override { return "two 5x5 convolutions, 500 units"; }

 private:
  std::shared_ptr<Conv2d> conv1_;
  std::shared_ptr<Conv2d> conv2_;
  std::shared_ptr<Linear> fc1_;
  std::shared_ptr<Linear> fc2_;
};

}  // namespace

ModulePtr mnist_fc(const ModelOptions& options) { return std::make_shared<MnistFc>(options); }
ModulePtr mnist_conv(const ModelOptions& options) { return std::make_shared<MnistConv>(options); }

}  // namespace ds::models
