// The ways in which a convolution runs on a CUDA device. conv2d.cu chooses: cuDNN where it is compiled in and
// knows the case, a kernel of its own for depthwise layers, and the product of matrices that are never
// written down for the rest.
#pragma once

#include <string_view>

#include "core/op_options.h"
#include "core/tensor.h"

namespace ds::cuda {

enum class Direction { kForward, kBackwardData, kBackwardWeight };

/// x, w and y of one convolution, or their gradients: the direction says which of them is written.
struct Convolution {
  Tensor x;
  Tensor w;
  Tensor y;
  Conv2dOptions options;
  Direction direction;
};

/// False where cuDNN is not compiled in or does not know the case.
bool run_cudnn(const Convolution& convolution);
/// "cuDNN 9.1", or "not compiled in".
std::string_view cudnn_description();

/// One input and one output channel a group.
bool is_depthwise(const Convolution& convolution);
void run_depthwise(const Convolution& convolution);

void run_implicit_gemm(const Convolution& convolution);

}  // namespace ds::cuda
