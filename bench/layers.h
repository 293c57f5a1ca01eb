// The convolutions of a network, from bench/shapes/*.txt.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/op_options.h"

namespace ds::bench {

struct Layer {
  std::string name;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  int64_t outputs = 0;
  int64_t kernel = 0;
  int64_t layers = 0;
  Conv2dOptions options;
};

inline std::vector<Layer> read_layers(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Layer> layers;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    Layer layer;
    int64_t stride = 0;
    int64_t padding = 0;
    fields >> layer.name >> layer.height >> layer.width >> layer.channels >> layer.outputs >> layer.kernel >>
        stride >> padding >> layer.options.groups >> layer.layers;
    DS_CHECK(fields, "[bench] {}: \"{}\", expected a name and nine numbers", path.string(), line);
    layer.options.stride = stride;
    layer.options.padding = padding;
    layers.push_back(layer);
  }
  return layers;
}

}  // namespace ds::bench
