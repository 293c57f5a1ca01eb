// From a traced network to an integer net: formats are chosen from sample images, batch norm becomes
// multipliers of few digits, weights become packed codes. docs/integer-net.md says what the result computes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "infer/calibrate.h"
#include "infer/integer_net.h"
#include "infer/multiplier.h"

namespace ds::infer {

struct LowerOptions {
  int activation_bits = 8;  // 8, or 16
  int input_bits = 16;      // of the normalised pixels: 8 or 16
  int digits = 3;           // of a multiplier, 1 to 4, or kFullDigits
  FormatChoice formats = FormatChoice::kLeastSquares;
  /// x = (pixel / 255 - mean) / deviation, by channel; empty: pixel / 255.
  std::vector<float> mean = {};
  std::vector<float> deviation = {};
};

/// `images` u8 [N,H,W,C], a few hundred as the network will see them; their labels are not needed. A
/// fixed_point of 8 or 16 bits in the network (activations rounded in training) sets the format of its input;
/// layers that round, but never learnt a range, leave none in a trace, and the images choose, with the bits
/// and the rounding of this lowering. A batch norm that alone reads the image becomes part of the
/// normalisation. Throws Error naming the place for what an integer net cannot do: float weights, weights of
/// more than 5 bits, a call that is not known, an average whose divisor differs from window to window.
IntegerNet lower(const Graph& graph, const Tensor& images, const LowerOptions& options = {});

}  // namespace ds::infer
