// DenseNet-121 for ImageNet (Huang et al. 2017, DenseNet-BC): four blocks of layers whose 32 channels each
// join the input of all that follow; between blocks half of the channels and of the size.
//
// Names are torchvision's: features.{conv0,norm0,denseblock{i}.denselayer{j}.{norm1,conv1,norm2,conv2},
// transition{i}.{norm,conv},norm5}, classifier.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr densenet121(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
