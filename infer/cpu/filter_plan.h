// A convolution or linear layer of an integer net made ready for the packed kernels: its weights in panels,
// its windows as runs.
//
// Weights of up to 4 bits and u8 values take the byte kernels; what does not fit a byte is read twice: a
// weight of 128 (2^0 of Q at 4 bits, when 2^-7 is 1) is a 64 in the run itself and another in an extra run
// over the same values. All else takes the 16-bit kernels, where 2^15 is split alike. Sums that 32 bits
// cannot hold are made in passes, each of which fits, and added in 64 bits.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "infer/cpu/filter_input.h"
#include "infer/cpu/kernels/packed.h"
#include "infer/integer_net.h"

namespace ds::infer {

/// Where the values that a window reads stand.
struct InputLayout {
  DType type = DType::kU8;
  int64_t height = 1;
  int64_t width = 1;
  int64_t pixel_bytes = 0;  // between neighbouring pixels
  int64_t row_bytes = 0;
  Size2d border = 0;  // rows and columns of zeros around the image that may be read
};

/// Runs of a pass that some rows of outputs have in common, by whether a tile holds the row's first and last
/// pixel.
struct RunSet {
  std::array<std::vector<PackedRun>, 4> runs;

  const std::vector<PackedRun>& of(bool first, bool last) const {
    return runs[(first ? 1 : 0) + (last ? 2 : 0)];
  }
};

/// One panel of output channels.
struct FilterPanel {
  int64_t first_output = 0;
  int64_t outputs = 0;
  int64_t input_offset = 0;  // bytes to the group's first channel
  std::vector<uint8_t> weights = {};
  std::vector<int32_t> start = {};  // of the sums; empty: zeros
  /// By pass, then by class of rows.
  std::vector<std::vector<RunSet>> runs = {};
};

struct FilterPlan {
  Words words = Words::kU8;
  int shape = 0;  // index of PackedKernels' panel shapes
  int64_t panel_outputs = 0;
  int64_t tile_pixels = 0;            // largest
  std::vector<int> pass_shifts = {};  // the sums of pass i count 2^shift
  std::vector<int> row_classes = {};  // by row of outputs
  std::vector<FilterPanel> panels = {};

  bool wide() const { return pass_shifts.size() > 1; }
  int64_t weight_bytes() const;
};

FilterPlan plan_filters(const Node& node, const Node& input, const FilterInput& form,
                        const InputLayout& layout, const PackedKernels& kernels);

}  // namespace ds::infer
