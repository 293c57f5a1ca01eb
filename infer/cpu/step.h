// A step of a CPU plan: what it needs to know of its values, and how it is run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "infer/cpu/kernels/select.h"
#include "infer/cpu/place.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// A run in progress.
struct RunContext {
  uint8_t* arena;
  const uint8_t* pixels;
  int64_t images;
};

/// What a step is made from.
struct StepSource {
  const IntegerNet& net;
  int node;
  const std::vector<Place>& places;  // by node
  const IntegerKernels& kernels;
  bool shifts_only = false;
  int64_t scratch = 0;  // bytes to the block that the step may use for itself

  const Node& self() const { return net.nodes()[static_cast<size_t>(node)]; }
  const Node& input(size_t i = 0) const { return net.nodes()[static_cast<size_t>(self().inputs[i])]; }
  const Place& place() const { return places[static_cast<size_t>(node)]; }
  const Place& input_place(size_t i = 0) const { return places[static_cast<size_t>(self().inputs[i])]; }
  const NodeBounds& bounds() const { return net.bounds()[static_cast<size_t>(node)]; }
};

struct Step {
  std::string kernel;        // how it is computed, in words
  int64_t weight_bytes = 0;  // packed
  std::function<void(const RunContext&)> run;
};

/// Bytes for one image that a convolution or linear layer needs for a copy of its input; 0 without.
int64_t filter_scratch_bytes(const Node& node, const Node& input, const Interval& accumulator,
                             bool shifts_only);
Step make_filter_step(const StepSource& source);
Step make_depthwise_step(const StepSource& source);
/// All other kinds of nodes.
Step make_row_step(const StepSource& source);

/// Whether a convolution has one input channel a group and as many outputs.
bool is_depthwise(const Node& node);

Stored stored_type(DType type);

}  // namespace ds::infer
