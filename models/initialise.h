// What constructors of torchvision's networks do last: weights and biases that start otherwise than PyTorch's
// layers.
#pragma once

#include "layers/weighted_layer.h"

namespace ds::models {

/// Calls visit(layer) for every layer of a type, in order of registration.
template <class Layer, class Visit>
void for_each_layer(Module& network, Visit&& visit) {
  network.for_each([&](const std::string&, Module& module) {
    if (auto* layer = dynamic_cast<Layer*>(&module)) visit(*layer);
  });
}

/// Of a layer with a float weight. Throws Error unless the values have its shape.
void set_weight(WeightedLayer& layer, const Tensor& values);
/// Nothing happens to a layer without a bias.
void zero_bias(WeightedLayer& layer);

}  // namespace ds::models
