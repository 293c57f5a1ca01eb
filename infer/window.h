// The windows of a convolution or linear layer, and which of their taps meet the image.
#pragma once

#include <cstdint>
#include <vector>

#include "infer/integer_net.h"

namespace ds::infer {

struct Window {
  Size2d kernel = 1;
  Size2d stride = 1;
  Size2d padding = 0;
  Size2d dilation = 1;
  int64_t groups = 1;
};

/// A linear layer has a window of one pixel.
Window window_of(const Node& node);

/// Height and width of a node's value; 1 and 1 for one without.
Size2d image_size(const Node& node);

/// Taps [begin, end) along an axis: those that fall into the image.
struct TapRange {
  int64_t begin = 0;
  int64_t end = 0;

  bool operator==(const TapRange&) const = default;
};

/// By row of outputs, and by column, of windows on an image of `inputs` rows or columns.
std::vector<TapRange> row_taps(const Window& window, int64_t outputs, int64_t inputs);
std::vector<TapRange> column_taps(const Window& window, int64_t outputs, int64_t inputs);

}  // namespace ds::infer
