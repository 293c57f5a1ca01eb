// Where the values of a plan stand.
#pragma once

#include <cstdint>

#include "core/dtype.h"

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

}  // namespace ds::infer
