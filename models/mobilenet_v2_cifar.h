// MobileNetV2 for 32x32 images (Sandler et al. 2018; strides of the stem and the second stage are 1): 17
// inverted residual blocks, ReLU after the expansion and the depthwise convolution.
//
// Names: conv1, bn1, layers.{i}.{conv1,bn1,conv2,bn2,conv3,bn3,shortcut.0,shortcut.1}, conv2, bn2, linear.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,32,32,3], output [N,classes].
ModulePtr mobilenet_v2_cifar(const ModelOptions& options = {});

}  // namespace ds::models
