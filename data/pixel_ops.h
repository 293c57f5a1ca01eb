// Operations on the colours and the geometry of RGB images, in place, as Pillow computes them and torchvision
// calls them: equal to the bit. Throw Error for an image whose channels are not 3.
//
// blend(a, b, f) is a + f (b - a), cut to u8; beyond f = 1 it leads away from a. Grey is
// (19595 R + 38470 G + 7471 B + 2^15) >> 16 (ITU-R 601).
#pragma once

#include <array>

#include "data/transforms.h"

namespace ds {

/// blend(0, pixel, factor).
void adjust_brightness(ImageView image, double factor);
/// blend(mean grey of the image, pixel, factor).
void adjust_contrast(ImageView image, double factor);
/// blend(grey of the pixel, pixel, factor).
void adjust_saturation(ImageView image, double factor);
/// blend(smooth, pixel, factor): smooth is the mean of the 3x3 pixels around, the middle counting five times,
/// and the pixel itself at the border.
void adjust_sharpness(ImageView image, double factor);
/// Turns the hue by `turn` in [-1/2, 1/2] of the circle, in steps of 1/256, by way of HSV in u8.
void adjust_hue(ImageView image, double turn);

/// Keeps the upper `bits` bits, 0 to 8.
void posterize(ImageView image, int bits);
/// Inverts what is not below the threshold.
void solarize(ImageView image, double threshold);
/// Stretches each channel to 0..255.
void autocontrast(ImageView image);
/// Makes the histogram of each channel flat.
void equalize(ImageView image);

/// The pixel whose centre is (x, y) becomes that at (m0 x + m1 y + m2, m3 x + m4 y + m5), the nearest, and
/// zero where that lies outside. In fixed point of 16 bits; sides below 2^15.
void affine(ImageView image, const std::array<double, 6>& matrix);

}  // namespace ds
