// Networks and images for the tests of conversion without training.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "autograd/functions.h"
#include "core/ops.h"
#include "core/random.h"
#include "layers/activation.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/residual.h"
#include "layers/sequential.h"

namespace ds::test {

inline Tensor normal(const Shape& shape, uint64_t seed) {
  Tensor result = Tensor::empty(shape);
  Generator generator(seed);
  fill_normal(result, 0.0, 1.0, generator);
  return result;
}

inline std::shared_ptr<Conv2d> convolution(int64_t in, int64_t out, bool bias, int64_t groups = 1) {
  return std::make_shared<Conv2d>(
      in, out, Conv2dLayerOptions{.kernel = 3, .padding = 1, .groups = groups, .bias = bias});
}

/// A residual block, grouped and depthwise convolutions, with and without batch norm, a linear layer.
inline std::shared_ptr<Sequential> mixed_net() {
  manual_seed(3);
  auto net = sequential(
      convolution(3, 8, true), std::make_shared<BatchNorm2d>(8), std::make_shared<Relu>(),
      std::make_shared<Residual>(sequential(convolution(8, 8, false, 8), std::make_shared<BatchNorm2d>(8),
                                            std::make_shared<Relu>(), convolution(8, 8, true, 2))),
      std::make_shared<Relu>(), std::make_shared<GlobalAvgPool2d>(), std::make_shared<Linear>(8, 5));
  net->train();
  for (uint64_t i = 0; i < 5; ++i) (*net)(normal({16, 10, 10, 3}, 100 + i));  // statistics of the norms
  net->eval();
  return net;
}

inline double output_error(Module& net, const Tensor& images, const Tensor& expected) {
  const Tensor difference = ops::arithmetic(Arithmetic::kSubtract, net(images).value(), expected);
  return std::sqrt(ops::sum_squares(difference) / ops::sum_squares(expected));
}

inline std::vector<float> all_values(Module& net) {
  std::vector<float> values;
  for (const NamedParameter& parameter : net.named_parameters()) {
    const auto more = parameter.value.value().to_vector<float>();
    values.insert(values.end(), more.begin(), more.end());
  }
  for (const NamedBuffer& buffer : net.named_buffers()) {
    const auto more = buffer.value->to_vector<float>();
    values.insert(values.end(), more.begin(), more.end());
  }
  return values;
}

}  // namespace ds::test
