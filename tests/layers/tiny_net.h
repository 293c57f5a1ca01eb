// A small network for tests of files, and what is done with it.
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "autograd/functions.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/checkpoint.h"
#include "layers/conv2d.h"
#include "layers/flatten.h"
#include "layers/linear.h"
#include "layers/sequential.h"

namespace ds::test {

/// 3 channels of 6 x 5 to 4 classes; the axes of "conv" and "fc" differ between memory and file.
inline ModulePtr make_net(uint64_t seed) {
  manual_seed(seed);
  const auto named = [](std::string name, ModulePtr module) {
    return std::pair(std::move(name), std::move(module));
  };
  return std::make_shared<Sequential>(std::vector<std::pair<std::string, ModulePtr>>{
      named("conv", std::make_shared<Conv2d>(3, 4, Conv2dLayerOptions{.kernel = {3, 2}, .bias = false})),
      named("bn", std::make_shared<BatchNorm2d>(4)), named("relu", std::make_shared<Relu>()),
      named("flatten", std::make_shared<Flatten>()),
      named("fc", std::make_shared<Linear>(4 * 4 * 4, 4, LinearOptions{.flattened = {4, 4, 4}}))});
}

inline Tensor make_input(int64_t count, uint64_t seed = 7) {
  Tensor x = Tensor::empty({count, 6, 5, 3});
  Generator generator(seed);
  fill_normal(x, 0.0, 1.0, generator);
  return x;
}

inline void convert(Module& net, const std::string& path, ShiftFormat format,
                    Rounding rounding = Rounding::kNearest) {
  for (const NamedLayer& named : weighted_layers(net)) {
    if (named.path != path) continue;
    const Weight& weight = named.layer->weight();
    named.layer->replace_weight(
        make_weight(format, weight.rounded(), {.layout = weight.options().layout, .rounding = rounding}));
  }
}

inline void convert_all(Module& net, ShiftFormat format) {
  convert(net, "conv", format);
  convert(net, "fc", format);
}

inline std::vector<float> outputs(Module& net) {
  const NoGrad no_grad;
  net.eval();
  return net(make_input(3)).value().to_vector<float>();
}

inline void train_steps(Module& net, Optimizer& optimizer, int first, int count) {
  net.train();
  for (int step = first; step < first + count; ++step) {
    const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1, 2, 3, 1}, {5});
    cross_entropy(net(make_input(5, static_cast<uint64_t>(100 + step))), labels).backward();
    optimizer.step();
    optimizer.zero_grad();
  }
}

inline std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline const ModelInfo kInfo = {.architecture = "tiny", .classes = 4, .options = R"({"mean":[0.5]})"};

}  // namespace ds::test
