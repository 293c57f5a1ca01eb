// The paper's two MNIST networks (its table 1): fully connected 784-512-512-10 with dropout 0.2, and two 5x5
// convolutions of 20 and 50 channels with max pooling, followed by 500 and 10 units.
//
// Names: fc1, fc2, fc3; conv1, conv2, fc1, fc2.
#pragma once

#include "models/registry.h"

namespace ds::models {

/// Input [N,28,28,1], output [N,classes].
ModulePtr mnist_fc(const ModelOptions& options = {});
ModulePtr mnist_conv(const ModelOptions& options = {});

}  // namespace ds::models
