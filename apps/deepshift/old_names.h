// Names of tensors in files that are older than the networks they belong to.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace ds::apps {

/// With the names of today. torchvision publishes its DenseNets with denselayer1.norm.1.weight where the
/// network says denselayer1.norm1.weight: points were once allowed within a module's name.
std::vector<TensorSpec> with_names_of_today(std::vector<TensorSpec> tensors);

}  // namespace ds::apps
