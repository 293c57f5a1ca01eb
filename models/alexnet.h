// AlexNet for ImageNet, with the widths of Krizhevsky 2014 ("One weird trick"): five convolutions, three
// linear layers.
//
// Names are torchvision's: features.{0,3,6,8,10}, classifier.{1,4,6}.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr alexnet(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
