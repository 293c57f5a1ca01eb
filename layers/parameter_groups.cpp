#include "layers/parameter_groups.h"

namespace ds {

std::vector<ParameterGroup> parameter_groups(const Module& model, double weight_decay) {
  ParameterGroup decayed{.parameters = {}, .weight_decay = weight_decay};
  ParameterGroup kept;
  for (const NamedParameter& parameter : model.named_parameters()) {
    (parameter.role == ParameterRole::kWeight ? decayed : kept).parameters.push_back(parameter.value);
  }
  std::vector<ParameterGroup> groups;
  for (ParameterGroup& group : std::vector{std::move(decayed), std::move(kept)}) {
    if (!group.parameters.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace ds
