#include "layers/weights/float_weight.h"

namespace ds {

FloatWeight::FloatWeight(Tensor values, const WeightOptions& options)
    : Weight(options), weight_(std::move(values), true) {}

std::vector<NamedParameter> FloatWeight::parameters() const {
  return {{.name = "weight", .value = weight_, .layout = options().layout}};
}

}  // namespace ds
