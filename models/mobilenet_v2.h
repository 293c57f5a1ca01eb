// MobileNetV2 for ImageNet (Sandler et al. 2018): 17 inverted residual blocks with ReLU6 after the expansion
// and the depthwise convolution; the input of a block is added where its stride is 1 and the channels stay.
//
// Names are torchvision's: features.{i}.{0,1} of stem and head, features.{i}.conv... of blocks, classifier.1.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr mobilenet_v2(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
