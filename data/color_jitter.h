// Random changes of colour (torchvision's ColorJitter), for RGB images of any size.
#pragma once

#include "data/transforms.h"

namespace ds {

/// The largest changes; 0 leaves a property alone.
struct ColorJitterOptions {
  double brightness = 0.0;
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;  // at most 1/2: of the circle
};

/// Adjusts (data/pixel_ops.h) brightness, contrast and saturation by factors from U[max(0, 1 - change),
/// 1 + change) and the hue by a turn from U[-change, change), in a random order. Throws Error for a negative
/// change, and at the first use for an image whose channels are not 3.
Transform color_jitter(const ColorJitterOptions& options);

}  // namespace ds
