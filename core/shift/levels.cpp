#include "core/shift/levels.h"

#include <algorithm>
#include <cmath>

namespace ds {
namespace {

/// Of one term.
std::vector<double> magnitudes_of(ShiftFormat format) {
  const auto [p_min, p_max] = format.range();
  std::vector<double> magnitudes;
  if (format.method == ShiftMethod::kPs) magnitudes.push_back(0.0);
  for (int p = p_min; p <= p_max; ++p) magnitudes.push_back(std::ldexp(1.0, p));
  return magnitudes;
}

}  // namespace

Levels::Levels(ShiftFormat format) : magnitudes_(magnitudes_of(format)) {
  if (format.terms == 2) {
    const std::vector<double> terms = std::move(magnitudes_);
    magnitudes_.clear();
    for (const double a : terms) {
      for (const double b : terms) {
        magnitudes_.push_back(a + b);
        magnitudes_.push_back(std::abs(a - b));
      }
    }
    std::ranges::sort(magnitudes_);
    magnitudes_.erase(std::unique(magnitudes_.begin(), magnitudes_.end()), magnitudes_.end());
  }
  for (size_t i = 1; i < magnitudes_.size(); ++i) {
    middles_.push_back(0.5 * (magnitudes_[i - 1] + magnitudes_[i]));
  }
}

double Levels::nearest(double value) const {
  if (std::isnan(value)) return value;  // as in pow2.h
  const auto below = std::ranges::lower_bound(middles_, std::abs(value)) - middles_.begin();
  return std::copysign(magnitudes_[static_cast<size_t>(below)], value);
}

}  // namespace ds
