// The convolutions of a network, from bench/shapes/*.txt.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/cpu/conv2d/conv2d_plan.h"
#include "core/error.h"
#include "core/ops.h"

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

inline cpu::Conv2dProblem problem_of(const Layer& layer, int64_t batch, cpu::Conv2dPass pass) {
  const Shape x = {batch, layer.height, layer.width, layer.channels};
  const Shape w = {layer.outputs, layer.kernel, layer.kernel, layer.channels / layer.options.groups};
  return {
      .pass = pass, .x = x, .w = w, .y = ops::conv2d_shape(x, w, layer.options), .options = layer.options};
}

/// Calls add(network, layer, batch) for every convolution of the networks in bench/shapes.
template <class Add>
void for_layers(std::initializer_list<int64_t> batches, const Add& add) {
  for (const char* network :
       {"resnet20", "resnet18_cifar", "mobilenet_v2_cifar", "resnet18", "vgg16", "linear"}) {
    const auto path = std::filesystem::path(DEEPSHIFT_BENCH_SHAPES) / fmt::format("{}.txt", network);
    for (const int64_t batch : batches) {
      for (const Layer& layer : read_layers(path)) add(network, layer, batch);
    }
  }
}

}  // namespace ds::bench
