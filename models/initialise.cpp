#include "models/initialise.h"

namespace ds::models {

void set_weight(WeightedLayer& layer, const Tensor& values) {
  Variable weight = layer.weight().parameters().front().value;
  weight.mutable_value().copy_from(values);
}

void zero_bias(WeightedLayer& layer) {
  Variable bias = layer.bias();
  if (bias.defined()) bias.mutable_value().copy_from(Tensor::zeros(bias.shape()));
}

}  // namespace ds::models
