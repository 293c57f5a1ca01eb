// The weights that a format has, as numbers to choose from: +-2^p and, of PS, 0; with two terms all sums of
// two of them.
#pragma once

#include <vector>

#include "core/shift/codes.h"

namespace ds {

class Levels {
 public:
  /// Throws Error for a format that there is not.
  explicit Levels(ShiftFormat format);

  /// The level nearest to a number, of two the one nearer to 0; with the number's sign. In the linear domain,
  /// unlike the rounding of one term in training (core/shift/pow2.h).
  double nearest(double value) const;
  /// Ascending, without signs: every level has its negative, and 0 may be the first.
  const std::vector<double>& magnitudes() const { return magnitudes_; }
  /// Of neighbouring magnitudes: up to the middle, itself included, the smaller one is nearest.
  const std::vector<double>& middles() const { return middles_; }

 private:
  std::vector<double> magnitudes_;
  std::vector<double> middles_;
};

}  // namespace ds
