// ResNets for ImageNet (He et al. 2016): a 7x7 stem with stride 2, 3x3 max pooling, four stages of basic (18,
// 34) or bottleneck blocks (50, 101; the stride is that of the 3x3 convolution, as in torchvision), shortcuts
// by 1x1 convolutions.
//
// Names are torchvision's: conv1, bn1, layer{1..4}.{i}.{conv1,bn1,...,downsample.0,downsample.1}, fc.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr resnet18(const ModelOptions& options = {.classes = 1000});
ModulePtr resnet34(const ModelOptions& options = {.classes = 1000});
ModulePtr resnet50(const ModelOptions& options = {.classes = 1000});
ModulePtr resnet101(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
