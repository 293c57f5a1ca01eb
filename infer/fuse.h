// A traced network as the few steps that inference takes: batch norm is folded into the convolution or linear
// layer before it, and addition, ReLU and ReLU6 are done with it.
//
//   gamma (conv(x, w) + b - mean) / sqrt(variance + eps) + beta = conv(x, s w) + s (b - mean) + beta,
//   s = gamma / sqrt(variance + eps)
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace ds::infer {

/// One call, with what was fused into it: y = min(max(call(inputs) + shortcut, low), high).
struct FusedStep {
  std::string kind;              // "conv2d", "linear" and every other kind that is recorded
  std::string scope;             // the path of the module that called it
  std::any options = {};         // those of the kind
  std::vector<int> inputs = {};  // values that depend on the network's input
  Tensor weight = {};  // conv2d and linear: with batch norm folded into it; batch_norm on its own: s
  Tensor bias = {};    // and this; may be undefined; batch_norm on its own: beta - s mean
  int shortcut = -1;   // value that is added, or -1
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  int output = 0;

  bool clamped() const;
};

/// Steps in an order in which they can be computed. Values are those of the graph; value 0 is the input.
struct FusedGraph {
  std::vector<FusedStep> steps;
  std::vector<Shape> shapes;  // of all values, for the batch that was traced
  int output = 0;
};

/// What depends on constants alone (rounding of weights) is computed. Throws Error for a convolution or
/// linear layer whose weight depends on the input, and for any other call but batch_norm that takes constants
/// beside the input: kind and place are named.
FusedGraph fuse(const Graph& graph);

}  // namespace ds::infer
