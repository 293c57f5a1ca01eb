// ResNet-18 for 32x32 images: the ImageNet network (He et al. 2016) with a 3x3 stem and no pooling; four
// stages of 64, 128, 256 and 512 channels, shortcuts by 1x1 convolutions.
//
// Names: conv1, bn1, layer{1..4}.{i}.{conv1,bn1,conv2,bn2,shortcut.0,shortcut.1}, linear.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,32,32,3], output [N,classes].
ModulePtr resnet18_cifar(const ModelOptions& options = {});

}  // namespace ds::models
