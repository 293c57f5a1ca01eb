#include "apps/common/model_input.h"

#include <fmt/format.h>

#include "core/error.h"
#include "data/image_folder.h"
#include "models/registry.h"

namespace ds::apps {

DatasetChoice ModelInput::in(const std::string& folder) const {
  return {.name = dataset,
          .folder = folder,
          .image_size = image_size,
          .classes = ids_of(classes),
          .class_count = class_count};
}

DatasetChoice ModelInput::without_labels(const std::string& folder) const {
  return {.name = dataset, .folder = folder, .image_size = image_size};
}

ModelNotes notes_of(const ModelInput& input) {
  return {.dataset = input.dataset,
          .normalization = input.normalization,
          .image_size = input.image_size,
          .classes = ids_of(input.classes)};
}

std::vector<ClassName> class_names(const InputChoice& choice, const std::vector<std::string>& ids,
                                   int64_t classes) {
  std::vector<ClassName> names;
  for (const std::string& id : ids) names.push_back({.id = id, .words = {}});
  if (choice.class_names.empty()) return names;
  names = read_class_names(choice.class_names);
  DS_CHECK(static_cast<int64_t>(names.size()) == classes, "[options] {}: {} classes, but the network has {}",
           choice.class_names, names.size(), classes);
  return names;
}

std::vector<std::string> ids_of(const std::vector<ClassName>& classes) {
  std::vector<std::string> ids;
  for (const ClassName& name : classes) ids.push_back(name.id);
  return ids;
}

ModelInput input_of(const Network& network, const std::string& file, const InputChoice& choice) {
  const Shape& taken = models::find(network.info.architecture).input;
  ModelInput input{.dataset = choice.dataset, .normalization = {}, .class_count = network.info.classes};
  if (input.dataset.empty()) {
    input.dataset = network.notes.dataset.empty() ? probable_dataset(taken) : network.notes.dataset;
  }
  const int64_t expected = class_count(input.dataset);
  DS_CHECK(expected == 0 || network.info.classes == expected,
           "[model] {} has {} classes, expected {}, those of {}", file, network.info.classes, expected,
           input.dataset);
  const int64_t channels = input.dataset == "mnist" ? 1 : 3;
  DS_CHECK(taken[2] == channels, "[model] {} holds {}, for images {}, but those of {} have {} channels", file,
           network.info.architecture, taken.str(), input.dataset, channels);
  DS_CHECK(input.dataset == kImageFolder || choice.image_size == 0,
           "[options] --image-size has an effect with --dataset {} only, found {}", kImageFolder,
           input.dataset);
  const int64_t noted = network.notes.image_size > 0 ? network.notes.image_size : taken[0];
  input.image_size = choice.image_size > 0 ? choice.image_size : noted;
  input.classes = class_names(choice, network.notes.classes, network.info.classes);
  input.normalization = given_normalization(choice.mean, choice.deviation, channels);
  if (input.normalization.mean.empty()) input.normalization = network.notes.normalization;
  if (input.normalization.mean.empty()) {
    input.normalization = foreign_normalization(input.dataset);
    fmt::print(stderr, "note: {}\n", normalization_note(file, input.normalization));
  }
  return input;
}

}  // namespace ds::apps
