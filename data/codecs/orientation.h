// The EXIF orientation (tag 0x112): how the pixels of a JPEG file are turned to stand upright.
#pragma once

#include <span>

#include "data/image.h"

namespace ds::codecs {

/// Upright pixel (y, x) is stored at (y, x), or (x, y) where transposed; then counted from the other end
/// where reversed.
struct Orientation {
  bool transposed = false;
  bool rows_reversed = false;
  bool columns_reversed = false;

  bool operator==(const Orientation&) const = default;
};

/// From the first APP1 segment that holds EXIF data; upright where there is none or it makes no sense.
Orientation exif_orientation(std::span<const uint8_t> jpeg);

/// Height and width after turning.
Size2d upright(Size2d stored, Orientation orientation);
/// Where a box of the upright image is stored.
Box stored_box(const Box& box, Size2d stored, Orientation orientation);
Image upright(Image stored, Orientation orientation);

}  // namespace ds::codecs
