// From real lines to the multipliers, addends and shifts of a node.
#pragma once

#include <vector>

#include "infer/integer_net.h"
#include "infer/multiplier.h"

namespace ds::infer {

/// What a channel's output is of its sum: y = scale a + shift. The rounded line passes through (pivot,
/// y(pivot)).
struct Line {
  double scale = 0.0;
  double shift = 0.0;
  double pivot = 0.0;
};

/// What the fit must know of the node beside its format.
struct RescaleProblem {
  double largest_sum = 0.0;        // in magnitude
  const Node* shortcut = nullptr;  // what is added, or null
  int digits = 3;                  // of a multiplier, or kFullDigits
  bool floors = false;             // outputs are rounded down, not to the nearest
};

/// The line rounded, with k of at least k_min, as one channel more. Throws Error when the multiplier leaves
/// 32 bits.
void append_line(const Line& line, int fraction_bits, int digits, int k_min, Rescale& rescale);

/// All channels of a node with the given format. With few digits, sums lose bits first where that keeps
/// everything within 32 bits and costs no accuracy.
Rescale fit_rescale(const std::vector<Line>& lines, const Format& format, const RescaleProblem& problem);

/// Those of a result, whose format gets the fraction bits: one format for all classes, with as many bits as
/// the bound leaves of 32, and full multipliers. Where every line has the same power of two as its scale, as
/// after a linear layer, the sums themselves are the result.
Rescale fit_result(const std::vector<Line>& lines, const RescaleProblem& problem, Format& format);

}  // namespace ds::infer
