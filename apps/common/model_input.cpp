#include "apps/common/model_input.h"

#include <fmt/format.h>

#include "apps/common/task.h"
#include "core/error.h"
#include "models/registry.h"

namespace ds::apps {

ModelInput input_of(const Network& network, const std::string& file, const InputChoice& choice) {
  ModelInput input{.dataset = choice.dataset, .normalization = {}};
  if (input.dataset.empty()) {
    input.dataset = network.notes.dataset.empty() ? choice.default_dataset : network.notes.dataset;
  }
  DS_CHECK(network.info.classes == class_count(input.dataset),
           "[model] {} has {} classes, expected {}, those of {}", file, network.info.classes,
           class_count(input.dataset), input.dataset);
  const Shape& taken = models::find(network.info.architecture).input;
  const int64_t channels = input.dataset == "mnist" ? 1 : 3;
  DS_CHECK(taken[2] == channels, "[model] {} holds {}, for images {}, but those of {} have {} channels", file,
           network.info.architecture, taken.str(), input.dataset, channels);
  input.normalization = given_normalization(choice.mean, choice.deviation, channels);
  if (input.normalization.mean.empty()) input.normalization = network.notes.normalization;
  if (input.normalization.mean.empty()) {
    input.normalization = foreign_normalization(input.dataset);
    fmt::print(stderr, "note: {}\n", normalization_note(file, input.normalization));
  }
  return input;
}

}  // namespace ds::apps
