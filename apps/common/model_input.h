// What a model file's network was trained to see: the data set and how its pixels are normalised.
#pragma once

#include <string>
#include <vector>

#include "apps/common/network.h"
#include "apps/common/task.h"
#include "data/dataset.h"
#include "data/image_folder.h"

namespace ds::apps {

/// What the command line says; what it leaves open is what the file says.
struct InputChoice {
  std::string dataset = {};
  int64_t image_size = 0;        // of photographs
  std::string class_names = {};  // table of the classes of photographs (read_class_names)
  std::vector<double> mean =
      {};  // or else ImageNet's (MNIST: its own), as is usual for published float weights;
  std::vector<double> deviation = {};  // a note on stderr says which
};

struct ModelInput {
  std::string dataset;
  Normalization normalization;
  int64_t image_size = 0;               // of photographs
  int64_t class_count = 0;              // of the network
  std::vector<ClassName> classes = {};  // by label, where they are known

  /// The data set in a folder, as the network sees it.
  DatasetChoice in(const std::string& folder) const;
  /// The same for images whose labels nobody reads: of any classes.
  DatasetChoice without_labels(const std::string& folder) const;
};

/// Throws Error naming the file when its network has other classes, or takes other images, than the data set
/// has.
ModelInput input_of(const Network& network, const std::string& file, const InputChoice& choice);
/// What the network's file is to say of its input.
ModelNotes notes_of(const ModelInput& input);
/// The classes in the table that the choice names, as many as the network has; else those of these ids.
std::vector<ClassName> class_names(const InputChoice& choice, const std::vector<std::string>& ids,
                                   int64_t classes);
std::vector<std::string> ids_of(const std::vector<ClassName>& classes);

}  // namespace ds::apps
