// Networks by name.
#pragma once

#include <string>
#include <vector>

#include "layers/module.h"

namespace ds::models {

struct ModelOptions {
  int64_t classes = 10;
};

struct ModelEntry {
  std::string name;
  std::string description;  // one line for --help
  Shape input;              // H,W,C of one image
  ModulePtr (*make)(const ModelOptions& options);
};

/// All networks, in order of their names.
const std::vector<ModelEntry>& registry();
/// Throws Error that lists the known names.
const ModelEntry& find(const std::string& name);
/// A network with the paper's or torchvision's architecture. Of 10 classes, whatever its name: pretrained
/// weights of ImageNet need {.classes = 1000}. Throws Error for an unknown name and for less than one class.
ModulePtr make(const std::string& name, const ModelOptions& options = {});

}  // namespace ds::models
