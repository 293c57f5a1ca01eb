#include "infer/rescale_width.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "infer/arithmetic.h"

namespace ds::infer {

int shortcut_shift(const Node& node, const Format& shortcut, size_t channel) {
  return node.rescale.shift[channel] + node.format.fraction_bits - shortcut.fraction_bits;
}

bool rescales_in_32_bits(const IntegerNet& net, size_t node) {
  constexpr int64_t kInt32 = std::numeric_limits<int32_t>::max();
  const Node& self = net.nodes()[node];
  const Interval& sums = net.bounds()[node].accumulator;
  const int64_t largest = std::max(-sums.low, sums.high);
  if (largest > kLargestNarrowSum || self.rescale.pre_shift > kLargestNarrowShift) return false;
  const int64_t shifted = (largest >> self.rescale.pre_shift) + 1;
  for (size_t c = 0; c < self.rescale.multiplier.size(); ++c) {
    const int k = self.rescale.shift[c];
    if (k > kLargestNarrowShift) return false;
    double sum = static_cast<double>(shifted) * std::abs(static_cast<double>(self.rescale.multiplier[c])) +
                 std::abs(static_cast<double>(self.rescale.addend[c])) + static_cast<double>(half(k));
    if (self.shortcut >= 0) {
      const Node& shortcut = net.nodes()[static_cast<size_t>(self.shortcut)];
      const int j = shortcut_shift(self, shortcut.format, c);
      if (j > kLargestNarrowShift) return false;
      sum += static_cast<double>(std::max(-shortcut.low, shortcut.high) << j);
    }
    if (sum > static_cast<double>(kInt32)) return false;
  }
  return true;
}

}  // namespace ds::infer
