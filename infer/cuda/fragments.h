// The filters of a layer packed for the tensor cores (infer/cuda/fragment.h).
#pragma once

#include <cstdint>
#include <vector>

#include "infer/cuda/fragment.h"
#include "infer/integer_net.h"

namespace ds::infer::cuda {

/// A weight that the decoded bytes are short of: +2^0 of Q at 4 bits is 128, decoded as -128.
struct Correction {
  int32_t depth = 0;   // position in the window, which is not filled up
  int32_t amount = 0;  // what must be added to the decoded weight
};

struct FilterFragments {
  int bits = 4;
  int outputs = 0;       // a multiple of the granularity
  int depth_blocks = 0;  // blocks of kBlockDepth, a multiple of the granularity's
  DecodeTables tables = {};
  /// Block (n, d) at [n depth_blocks + d]. What the filters do not have, the windows must hold zeros for.
  std::vector<uint32_t> words = {};
  /// Those of output o: [correction_starts[o], correction_starts[o + 1]).
  std::vector<int32_t> correction_starts = {};
  std::vector<Correction> corrections = {};
};

/// The bytes that codes of the format are decoded to.
DecodeTables decode_tables(ShiftFormat format);
/// The weight that they stand for, `code` as in core/shift/codes.h.
int32_t decoded_weight(const DecodeTables& tables, int bits, uint8_t code);

struct FragmentOptions {
  int channels = 0;  // of a pixel as it stands in memory
  int row_taps =
      0;  // taps of a row of the window in the depth, the last of which may be filled up; 0: as they are
  int output_granularity = kBlockOutputs;  // outputs are filled up to a multiple
  int depth_granularity = kBlockDepth;     // and so is the depth
};

FilterFragments pack_fragments(const Filters& filters, const FragmentOptions& options);

}  // namespace ds::infer::cuda
