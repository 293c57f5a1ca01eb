// What a header may claim, checked before anything is allocated for it.
#pragma once

#include <string>

#include "core/error.h"
#include "core/op_options.h"

namespace ds::codecs {

inline constexpr int64_t kLongestSide = 65535;
inline constexpr int64_t kMostPixels = int64_t{1} << 28;

/// Throws Error for an empty image, one above these limits, and one with more pixels than `bytes` can encode.
inline void check_image_size(Size2d size, size_t bytes, int64_t pixels_per_byte, const std::string& name) {
  DS_CHECK(size.height >= 1 && size.width >= 1, "[decode_image] {}: {} x {} pixels, expected at least one",
           name, size.height, size.width);
  DS_CHECK(
      size.height <= kLongestSide && size.width <= kLongestSide && size.height * size.width <= kMostPixels,
      "[decode_image] {}: {} x {} pixels, expected sides of at most {} and at most {} pixels", name,
      size.height, size.width, kLongestSide, kMostPixels);
  DS_CHECK(size.height * size.width / pixels_per_byte <= static_cast<int64_t>(bytes),
           "[decode_image] {}: {} x {} pixels, which a file of {} bytes cannot hold", name, size.height,
           size.width, bytes);
}

}  // namespace ds::codecs
