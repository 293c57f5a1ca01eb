// How a run of a convolution or linear layer is cut: rows of outputs into units of neighbouring pixels, units
// into blocks, panels of output channels into groups, and blocks times groups into the chunks that threads
// take. The integers are the same however it is cut, so the number of threads may decide, too.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/divide.h"

namespace ds::infer {

/// What the cut depends on.
struct FilterWork {
  int64_t rows = 0;                // of outputs of an image; of linear layers, and of windows of a pixel, one
  int64_t width = 0;               // pixels of a row
  bool images_are_pixels = false;  // linear layers: the images are the pixels of a single row
  int64_t output_products = 0;     // of a pixel and channel
  int64_t outputs = 0;             // channels
  int64_t panels = 0;
  int64_t panel_outputs = 0;
  int64_t panel_bytes = 0;  // that a panel writes of a pixel
  int64_t tile_pixels = 0;  // largest
  int64_t weight_bytes = 0;
  int64_t input_bytes = 0;  // of an image
  int64_t pixel_bytes = 0;  // of an output
  bool may_unpack = false;  // weights

  int64_t image_products() const { return rows * width * outputs * output_products; }
};

/// Consecutive ones of something.
struct Range {
  int64_t begin;
  int64_t end;
};
/// One of `parts` equal parts of [0, count).
constexpr Range equal_part(int64_t count, int64_t part, int64_t parts) {
  return {divide(count * part, parts).quotient, divide(count * (part + 1), parts).quotient};
}

struct FilterCut {
  int64_t rows = 0;
  int64_t width = 0;
  int64_t segment = 0;  // pixels that a unit takes of a row
  int64_t segments = 0;
  int64_t tile = 0;       // pixels of the tiles of a segment
  int64_t last_tile = 0;  // of the last one, which may be shorter
  int64_t panels = 0;
  int64_t item_panels = 1;  // at most, that an item takes
  /// Whether an item takes all of its panels for one unit after the other, or all units for one panel after
  /// the other.
  bool panels_inside = false;
  bool by_panels = false;  // whether threads share panels rather than rows
  int64_t blocks = 0;
  int64_t chunks = 0;
  bool own_rows = false;  // whether every thread has as many rows, and all of their panels
  bool unpacks = false;   // whether weights are unpacked: a block has several tiles on average

  int64_t units() const { return rows * segments; }
  int64_t panel_groups() const { return divide(panels + item_panels - 1, item_panels).quotient; }
  /// Blocks times groups of panels.
  int64_t items() const { return blocks * panel_groups(); }
  Range items_of(int64_t chunk) const { return equal_part(items(), chunk, chunks); }
  Range panels_of(int64_t item) const {
    const int64_t first =
        item_panels * (by_panels ? divide(item, blocks).quotient : divide(item, panel_groups()).remainder);
    return {first, std::min(panels, first + item_panels)};
  }
  Range units_of(int64_t item) const {
    return equal_part(
        units(), by_panels ? divide(item, blocks).remainder : divide(item, panel_groups()).quotient, blocks);
  }
};

FilterCut cut_work(const FilterWork& work, int64_t images);

}  // namespace ds::infer
