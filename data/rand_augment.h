// RandAugment (Cubuk et al. 2020), as torchvision has it, for RGB images of any size.
#pragma once

#include "data/transforms.h"

namespace ds {

struct RandAugmentOptions {
  int64_t operations = 2;  // drawn for each image, one after the other
  int64_t magnitude = 9;   // 0 to bins - 1
  int64_t bins = 31;       // at least 2
};

/// Each operation is one of 14, uniformly: none, shears, translations, rotation, brightness, saturation,
/// contrast, sharpness, posterize, solarize, autocontrast, equalize (data/pixel_ops.h). Its strength grows
/// linearly with the magnitude, up to a shear of 0.3, a translation of 150/331 of the side, 30 degrees, a
/// factor of 1 +- 0.9, 4 bits, a threshold of 0; its direction is random. What comes from outside the image
/// is zero. Throws Error for options out of range, and at the first use for an image whose channels are
/// not 3.
Transform rand_augment(const RandAugmentOptions& options = {});

}  // namespace ds
