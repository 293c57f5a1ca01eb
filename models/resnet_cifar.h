// ResNet-20/32/44/56/110 for 32x32 images (He et al. 2016, section 4.2): three stages of 16, 32 and 64
// channels, shortcuts of option A (every second pixel, zeros for the new channels).
//
// Weights start as N(0, 2 / fan_in), as in the paper. Names: conv1, bn1,
// layer{1,2,3}.{i}.{conv1,bn1,conv2,bn2}, linear.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Depth 6 blocks_per_stage + 2. Input [N,32,32,3], output [N,classes].
ModulePtr resnet_cifar(int blocks_per_stage, const ModelOptions& options);

ModulePtr resnet20(const ModelOptions& options = {});
ModulePtr resnet32(const ModelOptions& options = {});
ModulePtr resnet44(const ModelOptions& options = {});
ModulePtr resnet56(const ModelOptions& options = {});
ModulePtr resnet110(const ModelOptions& options = {});

}  // namespace ds::models
