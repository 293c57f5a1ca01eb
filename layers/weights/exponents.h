// How often each exponent occurs among weights that are 0 or +-2^p, or sums of two such terms.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "core/shift/codes.h"
#include "core/tensor.h"

namespace ds {

struct ExponentCounts {
  int64_t count = 0;  // weights; with two terms, those of all weights
  int64_t zeros = 0;
  std::map<int, int64_t> exponents;  // p to the number of those that are +-2^p

  /// Bars for the terminal, a line for each p from the highest, and one for the zeros if there are any.
  std::string str() const;
};

/// Throws Error naming the first weight, or term, that is neither 0 nor a power of two.
ExponentCounts count_exponents(const Tensor& weights, ShiftFormat format);

}  // namespace ds
