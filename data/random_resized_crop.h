// Training crops of photographs: a random part of a random shape, resized to a square.
#pragma once

#include <array>

#include "data/resize.h"
#include "data/transforms.h"

namespace ds {

struct RandomResizedCropOptions {
  int64_t size = 224;
  std::array<double, 2> scale = {0.08, 1.0};             // bounds of the part's share of the area
  std::array<double, 2> ratio = {3.0 / 4.0, 4.0 / 3.0};  // and of its width by its height
};

/// The part that torchvision's RandomResizedCrop takes: ten times draws a share of the area, uniformly, and a
/// ratio, uniformly in its logarithm, until such a part fits; its place is uniform. After ten, the largest
/// part of an allowed ratio, from the middle. Throws Error for bounds in the wrong order or not positive.
Box random_resized_box(Size2d image, const RandomResizedCropOptions& options, Generator& generator);

/// That part of an image, resized by itself: pixels around it take no part.
Image random_resized_crop(const Image& image, const RandomResizedCropOptions& options, Generator& generator);

/// The same from a file. Only the part is decoded, and from a JPEG at a fraction of its size where the part's
/// shorter side stays at least `size`: the pixels differ slightly then. Throws Error as decode_image.
Image decode_random_resized_crop(std::span<const uint8_t> bytes, const std::string& name,
                                 const RandomResizedCropOptions& options, Generator& generator);

}  // namespace ds
