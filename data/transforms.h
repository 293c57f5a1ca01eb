// Augmentation of u8 images, and mixing of batches.
//
// Every transform draws from a generator that depends on (seed, epoch, image) alone, so that what an image
// becomes does not depend on the number of workers or on the order in which they run.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/random.h"

namespace ds {

/// One image, H,W,C, changed in place.
struct ImageView {
  uint8_t* pixels = nullptr;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
};

using Transform = std::function<void(ImageView image, Generator& generator)>;

/// Pads by `padding` zero pixels on each side, then crops a window of the image's own size at a random place.
/// Throws Error at the first use when `size` is not the image's height and width.
Transform random_crop(int64_t size, int64_t padding);
/// Mirrors left and right with probability p.
Transform random_flip(double p = 0.5);
/// Sets a square of `size` pixels around a random centre, clipped at the border, to zero (DeVries & Taylor
/// 2017).
Transform cutout(int64_t size);

/// A number from U[low, high).
double uniform(double low, double high, Generator& generator);
/// A uniformly random order of the values (Fisher-Yates).
void shuffle(std::span<int64_t> values, Generator& generator);

struct MixupOptions {
  double alpha = 0.2;
  int64_t classes = 0;
  double label_smoothing = 0.0;
};
/// Mixup (Zhang et al. 2018), in place on f32 images [N,...]: x_i becomes l x_i + (1 - l) x_j, l from
/// Beta(alpha, alpha) and j a permutation, both drawn once. Returns the targets f32 [N,classes], mixed alike
/// from the smoothed labels (1 - s) [c = label] + s / classes.
Tensor mixup(Tensor& images, const Tensor& labels, const MixupOptions& options, Generator& generator);

/// CutMix (Yun et al. 2019), in place on f32 images [N,H,W,C]: a box of x_i becomes that of x_j. Its sides
/// are sqrt(1 - l) of the image's, rounded down, l from Beta(alpha, alpha); around a uniform centre, clipped
/// at the border; drawn once, as the permutation j. Returns the targets of mixup, with l the share of the
/// area that x_i keeps. Throws Error for a label outside [0, classes) and for images of another shape.
Tensor cutmix(Tensor& images, const Tensor& labels, const MixupOptions& options, Generator& generator);

}  // namespace ds
