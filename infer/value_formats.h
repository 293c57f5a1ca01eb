// The formats of the values inside an integer net, chosen from what calibration saw of them.
#pragma once

#include <vector>

#include "infer/calibrate.h"
#include "infer/integer_net.h"
#include "infer/lower.h"
#include "infer/rescale_fit.h"

namespace ds::infer {

class ValueFormats {
 public:
  /// One format for all values that nodes only move from one to the other. u8 where the network's structure
  /// says that nothing is negative.
  ValueFormats(const FusedGraph& graph, const Calibration& calibration, const LowerOptions& options);

  /// Of a value of the graph.
  const Format& format(int value) const { return formats_[static_cast<size_t>(group(value))]; }
  /// The smallest and the largest integer: within the format's where activations saturated there in training.
  int64_t lowest(int value) const { return lowest_[static_cast<size_t>(group(value))]; }
  int64_t highest(int value) const { return highest_[static_cast<size_t>(group(value))]; }
  /// Whether activations were rounded down in training.
  bool floors(int value) const { return floors_[static_cast<size_t>(group(value))]; }

 private:
  int group(int value) const;
  void join_moved();
  void choose();
  void take_trained();
  void bound_operands();
  bool bound_operands_of(const FusedStep& step);
  bool bound_fraction_bits(int value, int most);
  void set_input();
  Format input_format() const;
  int most_input_bits(DType type) const;

  const FusedGraph& graph_;
  const Calibration& calibration_;
  const LowerOptions& options_;
  std::vector<int> parents_;      // of values that share a format
  std::vector<Format> formats_;   // by group
  std::vector<int64_t> lowest_;   // likewise
  std::vector<int64_t> highest_;  // likewise
  std::vector<bool> floors_;      // likewise
};

/// From pixels to their normalised values with so many fraction bits.
Rescale pixel_rescale(const LowerOptions& options, int64_t channels, int fraction_bits);
/// What these lines make of pixels, and the 0 that padding is: no more of the format than that.
Interval pixel_range(const Rescale& rescale, const Format& format);

}  // namespace ds::infer
