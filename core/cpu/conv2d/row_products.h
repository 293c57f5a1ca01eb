// Rows of a matrix times the panels of filters: what correlations become whose inputs stand in rows.
#pragma once

#include <vector>

#include "core/cpu/conv2d/correlator.h"
#include "core/cpu/conv2d/cut.h"
#include "core/cpu/kernels/direct.h"

namespace ds::cpu {

/// `count` rows of inputs and of outputs. Of a row, each tap multiplies `channels` words.
struct Rows {
  int64_t count;
  const float* x;
  int64_t x_pitch;  // floats
  int64_t target;   // where the first row's outputs stand in the target
  int64_t y_pitch;  // floats
  const std::vector<DirectTap>& taps;
  int64_t channels;
  bool from_memory;  // x is not in a cache yet; the rows stand one after the other
};

/// Multiplies them with panels of the filters, of which each has `length` rows of weights, and lets the
/// filters' epilogue follow.
void multiply_rows(const Rows& rows, const Images& images, const Filters& filters, const PanelRange& panels,
                   int64_t length);

}  // namespace ds::cpu
