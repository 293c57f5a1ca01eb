// Rounding of filters to the levels of a format so that the layer's output changes least, not each weight.
//
// With H the second moments of a window's values, a filter q in place of w* costs (q - w*)^T H (q - w*).
// Weights are rounded one after the other, those with the largest moments first, and the error of each is
// handed on to those that are not rounded yet (GPTQ, arXiv 2210.17323, eq. 2); then each is moved to the
// level that is best with all others as they are, until none moves (coordinate descent). The same descent
// from the nearest levels is the other candidate, so that the cost is never above that of plain rounding.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/shift/levels.h"

namespace ds {

/// Rounds filters that read the same values.
class CompensatedRounding {
 public:
  /// H = moments + r I, depth x depth. Nothing where that is not positive definite.
  static std::optional<CompensatedRounding> make(const std::vector<double>& moments, double r, int64_t depth);

  /// H^-1 b in place of each row b of `depth` numbers.
  void solve(std::vector<double>& rows) const;
  /// `filters`: rows of `depth` numbers, w*. At most so many sweeps of coordinate descent.
  std::vector<double> round(const std::vector<double>& filters, const Levels& grid, int sweeps) const;

 private:
  struct Descent;

  explicit CompensatedRounding(int64_t depth) : depth_(depth) {}
  void round_rows(double* targets, int64_t count, const Levels& grid, int sweeps) const;
  void hand_errors_on(double* filters, int64_t count, const Levels& grid) const;
  bool move(int64_t j, double* levels, double* gradient, const Levels& grid) const;
  void descend(double* levels, double* gradients, int64_t count, const Levels& grid, int sweeps) const;
  Descent descend_from(std::vector<double> levels, const double* targets, const Levels& grid,
                       int sweeps) const;

  int64_t depth_;
  std::vector<int64_t> order_ = {};   // by moments, the largest last: rounding goes from the end
  std::vector<int64_t> places_ = {};  // where each weight stands in that order
  std::vector<double> moments_ = {};  // H in that order
  std::vector<double> inverse_ = {};  // L^-1, H = L L^T
};

}  // namespace ds
