// VGG16 for ImageNet (Simonyan & Zisserman 2015, configuration D): 13 3x3 convolutions, with batch norm or
// without, and three linear layers.
//
// Names are torchvision's: features.{i}, classifier.{0,3,6}.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr vgg16(const ModelOptions& options = {.classes = 1000});
ModulePtr vgg16_bn(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
