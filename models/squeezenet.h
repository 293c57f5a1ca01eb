// SqueezeNet 1.0 and 1.1 for ImageNet (Iandola et al. 2016): fire modules, which squeeze the channels by 1x1
// and expand them by 1x1 and 3x3 side by side; a convolution with ReLU and a mean give the logits, which are
// never negative. 1.1 pools earlier and does 2.4 times less work.
//
// Names are torchvision's: features.{0,3,...}.{squeeze,expand1x1,expand3x3}, classifier.1.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr squeezenet1_0(const ModelOptions& options = {.classes = 1000});
ModulePtr squeezenet1_1(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
