// A step of a CPU plan: what it needs to know of its values, and how it is run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "infer/cpu/kernels/select.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// Where a value stands in the arena.
struct Place {
  DType type = DType::kU8;
  int64_t height = 1;
  int64_t width = 1;
  int64_t channels = 0;
  int64_t offset = 0;       // bytes to the first image
  int64_t image_bytes = 0;  // between neighbouring images
  int64_t pixel_bytes =
      0;  // between neighbouring pixels: more than those of its channels within a concatenation

  int64_t row_bytes() const { return width * pixel_bytes; }
  int64_t value_bytes() const { return static_cast<int64_t>(size_of(type)); }
  uint8_t* image(uint8_t* arena, int64_t n) const { return arena + offset + n * image_bytes; }
};

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
