// Fixed-point formats chosen from samples of the values that they are to hold.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ds {

/// How the fraction bits of a format are chosen.
enum class FormatChoice : uint8_t {
  kLeastSquares,  // the least squared error over the samples, rounding and saturation together
  kPercentile,    // the most bits at which 99.99 % of the samples fit
  kMinMax,        // the most bits at which all samples fit
};

std::string_view name_of(FormatChoice choice);
/// "squares", "percentile", "minmax"; throws Error for any other text.
FormatChoice parse_format_choice(std::string_view text);

/// Counts of the values of one tensor, by sign, exponent and the 7 highest bits of the fraction: independent
/// of the order in which they come. Takes 512 KiB from the first value on.
class ValueCounts {
 public:
  void add(std::span<const float> values);
  void add(const ValueCounts& other);

  double lowest() const { return lowest_; }    // 0 where nothing is below it
  double highest() const { return highest_; }  // likewise above
  /// The fraction bits F of integers in [low, high] that hold these values, by one of the rules; 0 where all
  /// values are 0. |F| <= 62.
  int fraction_bits(int64_t low, int64_t high, FormatChoice choice) const;

 private:
  int fitting_bits(int64_t low, int64_t high, double share) const;
  double squared_error(int64_t low, int64_t high, int fraction_bits) const;

  std::vector<int64_t> counts_;  // by the upper half of the float; empty before the first value
  double lowest_ = 0.0;
  double highest_ = 0.0;
};

}  // namespace ds
