// What sample images say about the values inside a network: the ranges that fixed-point formats are chosen
// from, and where the line from a channel's sums to its outputs must be exact.
#pragma once

#include <span>
#include <vector>

#include "core/tensor.h"
#include "core/value_counts.h"
#include "infer/fuse.h"

namespace ds::infer {

struct Calibration {
  std::vector<ValueCounts> values;  // by value of the graph
  /// By step, for those with a scale and averages: the mean of what is rescaled (the call's result, or the
  /// sum of a window) over the images, by channel; where a clamp at 0 follows, over the elements whose output
  /// is above it.
  std::vector<std::vector<double>> pivots;
};

/// Runs the steps in float arithmetic on batches of normalised images [N,H,W,C]. Throws Error for no batch, a
/// call that is not known, and values that are not finite, naming the place.
Calibration calibrate(const FusedGraph& graph, std::span<const Tensor> batches);

}  // namespace ds::infer
