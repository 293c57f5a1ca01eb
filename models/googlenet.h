// GoogLeNet for ImageNet (Szegedy et al. 2015, Inception v1) as torchvision has it: batch norm (eps 1e-3)
// after every convolution, and 3x3 in the branch whose convolution is 5x5 in the paper.
//
// In training mode two auxiliary heads give logits of their own, which take_auxiliary() returns: first that
// of aux1, after inception4a, then that of aux2, after inception4d. The paper adds 0.3 times the loss of
// each. Files may leave the heads out; they then stay as they were.
//
// Images normalised by ImageNet's mean and deviation, as for the other networks, are brought to (x - 0.5) /
// 0.5 first (torchvision's transform_input): what its pretrained weights expect. Weights that were trained by
// torchvision without that option are those of `googlenet_plain`.
//
// Names are torchvision's: conv{1,2,3}, inception{3a..5b}.branch{1..4}..., aux{1,2}.{conv,fc1,fc2}, fc.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,H,W,3], 224x224 as published, output [N,classes].
ModulePtr googlenet(const ModelOptions& options = {.classes = 1000});
/// The same, of the images as they come.
ModulePtr googlenet_plain(const ModelOptions& options = {.classes = 1000});

}  // namespace ds::models
