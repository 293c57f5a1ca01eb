// Where a training step stopped being finite.
#pragma once

#include <string>

#include "layers/module.h"

namespace ds::apps {

/// The first parameter that is not finite, or else the first layer whose output is not when the batch is run
/// again in evaluation: "the output of conv2d in layer1.0.conv1".
std::string first_not_finite(Module& model, const Tensor& images);

/// The name of the first parameter whose gradient is not finite; empty when all are.
std::string first_gradient_not_finite(const Module& model);

}  // namespace ds::apps
