// Rounding of filters to powers of two so that the layer's output changes least, not each weight.
//
// With H the second moments of a window's values, a filter q in place of w* costs (q - w*)^T H (q - w*).
// Weights are rounded one after the other, those with the largest moments first, and the error of each is
// handed on to those that are not rounded yet (GPTQ, arXiv 2210.17323, eq. 2); then each is moved to the
// level that is best with all others as they are, until none moves (coordinate descent). The same descent
// from the nearest levels is the other candidate, so that the cost is never above that of plain rounding.
#pragma once

#include <cstdint>
#include <vector>

#include "core/shift/codes.h"

namespace ds {

/// The level of a format nearest to a number: +-2^p and, of PS, 0. In the linear domain, unlike training's
/// rounding: here it is the error of the output that counts.
double nearest_level(double value, ShiftFormat format);

struct CompensatedRounding {
  ShiftFormat format;
  int sweeps = 6;  // of coordinate descent, at most
};

/// Rounds filters, rows of `depth` numbers; `moments` is H, depth x depth and positive definite (Error
/// otherwise).
std::vector<double> round_compensated(const std::vector<double>& filters, const std::vector<double>& moments,
                                      int64_t depth, const CompensatedRounding& options);

}  // namespace ds
