#include "models/registry.h"

#include <fmt/ranges.h>

#include "core/error.h"
#include "models/alexnet.h"
#include "models/densenet.h"
#include "models/googlenet.h"
#include "models/mobilenet_v2.h"
#include "models/mobilenet_v2_cifar.h"
#include "models/resnet.h"
#include "models/resnet18_cifar.h"
#include "models/resnet_cifar.h"
#include "models/simple_mnist.h"
#include "models/squeezenet.h"
#include "models/vgg.h"

namespace ds::models {

const std::vector<ModelEntry>& registry() {
  const Shape cifar{32, 32, 3};
  const Shape imagenet{224, 224, 3};
  const Shape mnist{28, 28, 1};
  static const std::vector<ModelEntry> entries = {
      {"alexnet", "AlexNet for ImageNet", imagenet, alexnet},
      {"densenet121", "DenseNet121 for ImageNet", imagenet, densenet121},
      {"googlenet", "GoogLeNet for ImageNet", imagenet, googlenet},
      {"googlenet_plain", "GoogLeNet for ImageNet, trained without transform_input", imagenet,
       googlenet_plain},
      {"mnist_conv", "two 5x5 convolutions of 20 and 50 channels, 500 units (paper, table 1)", mnist,
       mnist_conv},
      {"mnist_fc", "784-512-512 fully connected (paper, table 1)", mnist, mnist_fc},
      {"mobilenet_v2", "MobileNetV2 for ImageNet", imagenet, mobilenet_v2},
      {"mobilenet_v2_cifar", "MobileNetV2 for 32x32 images", cifar, mobilenet_v2_cifar},
      {"resnet101", "ResNet101 for ImageNet", imagenet, resnet101},
      {"resnet110", "ResNet110 for CIFAR, option A shortcuts", cifar, resnet110},
      {"resnet18", "ResNet18 for ImageNet", imagenet, resnet18},
      {"resnet18_cifar", "ResNet18 for CIFAR, 64-128-256-512 channels", cifar, resnet18_cifar},
      {"resnet20", "ResNet20 for CIFAR, option A shortcuts", cifar, resnet20},
      {"resnet32", "ResNet32 for CIFAR, option A shortcuts", cifar, resnet32},
      {"resnet34", "ResNet34 for ImageNet", imagenet, resnet34},
      {"resnet44", "ResNet44 for CIFAR, option A shortcuts", cifar, resnet44},
      {"resnet50", "ResNet50 for ImageNet", imagenet, resnet50},
      {"resnet56", "ResNet56 for CIFAR, option A shortcuts", cifar, resnet56},
      {"squeezenet1_0", "SqueezeNet 1.0 for ImageNet", imagenet, squeezenet1_0},
      {"squeezenet1_1", "SqueezeNet 1.1 for ImageNet", imagenet, squeezenet1_1},
      {"vgg16", "VGG16 for ImageNet", imagenet, vgg16},
      {"vgg16_bn", "VGG16 with batch norm for ImageNet", imagenet, vgg16_bn},
  };
  return entries;
}

const ModelEntry& find(const std::string& name) {
  std::vector<std::string> names;
  for (const ModelEntry& entry : registry()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail("[models] unknown architecture \"{}\", expected one of: {}", name, fmt::join(names, ", "));
}

ModulePtr make(const std::string& name, const ModelOptions& options) {
  DS_CHECK(options.classes >= 1, "[models] {} classes, expected at least 1", options.classes);
  return find(name).make(options);
}

}  // namespace ds::models
