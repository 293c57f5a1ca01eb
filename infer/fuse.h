// A traced network as the few steps that inference takes: bias and batch norm become a scale and a shift of
// the convolution or linear layer before them, and addition, ReLU and ReLU6 are done with it.
//
//   gamma (conv(x, w) + b - mean) / sqrt(variance + eps) + beta = s conv(x, w) + s (b - mean) + beta,
//   s = gamma / sqrt(variance + eps)
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "core/shift/codes.h"

namespace ds::infer {

/// One call, with what was fused into it: y = min(max(scale call(inputs) + shift + shortcut, low), high).
struct FusedStep {
  std::string kind;                        // "conv2d", "linear" and every other kind that is recorded
  std::string scope;                       // the path of the module that called it
  std::any options = {};                   // those of the kind
  std::vector<int> inputs = {};            // values that depend on the network's input
  Tensor weight = {};                      // of conv2d and linear, as the network has it
  std::optional<ShiftFormat> format = {};  // of a weight that was rounded to powers of two
  std::vector<double> scale = {};          // of conv2d, linear and batch_norm, by output channel; empty: 1
  std::vector<double> shift = {};          // likewise; empty: 0
  int shortcut = -1;                       // value that is added, or -1
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  int output = 0;

  bool clamped() const;
  /// Whether it is a call whose outputs have a scale and a shift: conv2d, linear, batch_norm.
  bool scaled() const;
};

/// Steps in an order in which they can be computed. Values are those of the graph; value 0 is the input.
struct FusedGraph {
  std::vector<FusedStep> steps;
  std::vector<Shape> shapes;  // of all values, for the batch that was traced
  int output = 0;
};

/// What depends on constants alone (rounding of weights) is computed; what the output is not made from is
/// left out. Throws Error for a convolution or linear layer whose weight depends on the input, and for any
/// other call but batch_norm that takes constants beside the input: kind and place are named.
FusedGraph fuse(const Graph& graph);

}  // namespace ds::infer
