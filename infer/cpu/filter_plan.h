// A convolution or linear layer of an integer net made ready for the packed kernels: its weights in panels,
// its windows as runs.
//
// Weights of up to 4 bits and u8 values take the byte kernels, all else the 16-bit kernels. What a kernel's
// weight cannot be is read again: a weight of 128 (2^0 of Q at 4 bits, when 2^-7 is 1) is a 64 in the run
// itself and another in an extra run over the same values; one of two terms, where kernels read codes of
// powers of two, is a run for each. Sums that 32 bits cannot hold are made in passes, each of which fits, and
// added in 64 bits.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "infer/cpu/filter_input.h"
#include "infer/cpu/filter_work.h"
#include "infer/cpu/kernels/packed.h"
#include "infer/cpu/panel_packer.h"
#include "infer/cpu/place.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// The runs of a pass. Those of a row of taps follow each other, so that rows of outputs, which lack rows of
/// taps at the image's edges, have a stretch of them each.
struct PassRuns {
  /// All of them, by whether a tile holds the row's first pixel (1) and its last (2).
  std::array<std::vector<PackedRun>, 4> variants = {};
  std::vector<Range> stretches = {};  // by class of rows

  std::span<const PackedRun> of(size_t row_class, bool first, bool last) const {
    const std::vector<PackedRun>& all = variants[(first ? 1 : 0) + (last ? 2 : 0)];
    const Range& stretch = stretches[row_class];
    return {all.data() + stretch.begin, static_cast<size_t>(stretch.end - stretch.begin)};
  }
};

/// One panel of output channels.
struct FilterPanel {
  int64_t first_output = 0;
  int64_t outputs = 0;
  int64_t input_offset = 0;         // bytes to the group's first channel
  int64_t weights = 0;              // bytes to its first one
  std::vector<int32_t> start = {};  // of the sums; empty: zeros
  std::vector<PassRuns> runs = {};  // by pass
};

struct FilterPlan {
  PanelForm form = {};
  bool pointwise = false;  // windows of a pixel, one beside the other: an image is a single row
  int64_t panel_outputs = 0;
  int64_t tile_pixels = 0;            // largest
  std::vector<int> pass_shifts = {};  // the sums of pass i count 2^shift
  std::vector<int> row_classes = {};  // by row of outputs
  std::vector<FilterPanel> panels = {};
  Tensor weights = {};  // u8, of one panel after the other: on lines of the cache

  /// Whether a single pass gives the sums as they are.
  bool whole() const { return pass_shifts.size() == 1 && pass_shifts.front() == 0; }
  int64_t weight_bytes() const { return weights.bytes(); }
};

/// `read` is where the kernels find the values: the input, or its copy.
FilterPlan plan_filters(const Node& node, const Node& input, const FilterInput& form, const Place& read,
                        const PackedKernels& kernels);

}  // namespace ds::infer
