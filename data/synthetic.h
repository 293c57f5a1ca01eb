// A drawn, seeded set of ten classes, for trying things out where there is no data: 32x32 RGB images of
// shapes and textures in random colours and poses, with noise and clutter.
//
// Colours are drawn independently of the class and either side may be the brighter one, so pixels alone tell
// little (a linear classifier stays far below 60 %) while a small convolutional network learns to tell the
// classes apart within a few epochs. Every image is a function of (seed, split, position) in integer
// arithmetic: the same bytes on every machine.
#pragma once

#include "data/dataset.h"

namespace ds {

struct SyntheticOptions {
  int64_t train = 10000;  // images
  int64_t test = 2000;
  uint64_t seed = 1;
};

struct SyntheticData {
  Dataset train;
  Dataset test;
};

/// Draws both sets: image i is of class i % 10. Throws Error for a negative number of images.
SyntheticData make_synthetic(const SyntheticOptions& options = {});

}  // namespace ds
