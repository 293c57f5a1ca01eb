#include "layers/parameter_groups.h"

namespace ds {

std::vector<ParameterGroup> parameter_groups(const Module& model, double weight_decay) {
  ParameterGroup decayed{.parameters = {}, .weight_decay = weight_decay};
  ParameterGroup kept;
  for (const NamedParameter& parameter : model.named_parameters()) {
    (parameter.role == ParameterRole::kWeight ? decayed : kept).parameters.push_back(parameter.value);
  }
  return without_empty({std::move(decayed), std::move(kept)});
}

}  // namespace ds
