// Activations and biases rounded to fixed point (paper, section 3.1), with a straight-through gradient.
//
//   y = sat(round(x 2^F)) 2^-F        q = sat(round(x 2^F)) is an integer of B bits with F fraction bits:
//   signed    -2^(B-1) <= q <= 2^(B-1) - 1
//   unsigned  0 <= q <= 2^B - 1
//
// "I.F" (16.16) fixes the format: I integer bits with the sign, F fraction bits. "B" (8) fixes the width, and
// F is the largest for which the range of the tensor fits: F = floor(log2(q_max / max |x|)). The range of a
// layer's input is a running one, low <- low + momentum (min(batch, 0) - low) and high likewise, starting
// with the first training batch; evaluation before any training takes the batch's own, and a trace leaves
// such an input as it is: who lowers it chooses the format from images. (A layer whose inputs were all 0 in
// training has learnt nothing either.) A bias has the range that it has.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "autograd/variable.h"
#include "core/op_options.h"
#include "layers/module.h"

namespace ds {

struct ActivationFormat {
  int bits = 32;                          // the whole width, 2 to 32
  std::optional<int> fraction_bits = 16;  // nothing: chosen for each tensor

  /// "16.16" or "8".
  std::string str() const;
  bool operator==(const ActivationFormat&) const = default;
};

/// Throws Error unless the text is I.F with I >= 1, F >= 0 and 2 <= I + F <= 32, or B with 2 <= B <= 32.
ActivationFormat parse_activation_format(std::string_view text);

struct ActivationQuantOptions {
  ActivationFormat format = {};
  Rounding rounding = Rounding::kNearest;  // half up, or floor as in the paper
  bool unsigned_inputs =
      false;  // B bits: an input never seen below zero has no sign, and one bit more for its value
  bool paper_top = false;  // I.F, I >= 2: saturate at the integer below the top, as the original program does
  double momentum = 0.1;   // B bits: of the running range

  bool operator==(const ActivationQuantOptions&) const = default;
};

/// The lowest and highest value of a tensor, zero included.
struct ValueRange {
  double low = 0.0;
  double high = 0.0;
};

/// The fixed-point format that these options give a tensor with this range.
FixedPointOptions choose_format(const ActivationQuantOptions& options, const ValueRange& range);

/// The rounding of one layer's input and bias.
class ActivationQuant {
 public:
  /// Throws Error for options that contradict each other or lie outside their bounds.
  explicit ActivationQuant(const ActivationQuantOptions& options);

  Variable round_input(const Variable& x, bool training);
  Variable round_bias(const Variable& bias) const;
  /// "input_range" (low, high; both 0 before any training), for B bits.
  std::vector<NamedBuffer> buffers();
  const ActivationQuantOptions& options() const { return options_; }

 private:
  /// Nothing before any training.
  std::optional<ValueRange> learnt_range() const;
  ValueRange input_range(const Tensor& x, bool training);

  ActivationQuantOptions options_;
  ValueRange last_range_;  // of the last training pass, which a recomputation repeats
  Tensor input_range_;     // f32 [2] on the CPU or where the module was moved
};

/// Rounds the input and the bias of every Conv2d and Linear, or with nothing no more.
void quantize_activations(Module& module, const std::optional<ActivationQuantOptions>& options);
/// The options of the network's layers; nothing when the first one does not round.
std::optional<ActivationQuantOptions> activation_quant_options(Module& module);

}  // namespace ds
