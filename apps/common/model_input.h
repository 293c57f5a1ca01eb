// What a model file's network was trained to see: the data set and how its pixels are normalised.
#pragma once

#include <string>
#include <vector>

#include "apps/common/network.h"
#include "data/dataset.h"

namespace ds::apps {

/// What the command line says; what it leaves open is what the file says.
struct InputChoice {
  std::string dataset = {};
  std::string default_dataset = "cifar10";
  std::vector<double> mean =
      {};  // or else ImageNet's (MNIST: its own), as is usual for published float weights;
  std::vector<double> deviation = {};  // a note on stderr says which
};

struct ModelInput {
  std::string dataset;
  Normalization normalization;
};

/// Throws Error naming the file when its network has other classes, or takes other images, than the data set
/// has.
ModelInput input_of(const Network& network, const std::string& file, const InputChoice& choice);

}  // namespace ds::apps
