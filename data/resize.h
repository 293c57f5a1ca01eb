// Images in other sizes, as Pillow and torchvision make them.
#pragma once

#include "data/image.h"

namespace ds {

/// Antialiased bilinear interpolation: Pillow's Image.resize((width, height), BILINEAR, box), to the bit.
///
/// Along each axis, first the rows, then the columns, an output is a weighted mean of the inputs around its
/// centre c = start + (i + 1/2) s, with s = input size / output size: weight max(0, 1 - |x + 1/2 - c| /
/// max(s, 1)), in fixed point of 22 bits, rounded to u8 after each axis. With a box, the inputs around it
/// take part too. Throws Error for a size below 1 and for a box that is empty or not within the image.
Image resize(const Image& image, Size2d size);
Image resize(const Image& image, Size2d size, const Box& box);

/// torchvision's Resize(size): the shorter side becomes `size`, the longer one size * long / short, rounded
/// down.
Image resize_shorter_side(const Image& image, int64_t size);

/// torchvision's CenterCrop(size): a square from the middle; where the border halves to k + 1/2, at the even
/// of k and k + 1. An image that is smaller is padded with zeros, the odd pixel at the bottom and the right.
Image center_crop(const Image& image, int64_t size);

/// center_crop(resize_shorter_side(image, shorter_side), size) for a size up to the side, without the work on
/// what is cut off.
Image resize_center(const Image& image, int64_t shorter_side, int64_t size);

/// The same from a file, of which only the part that is seen is decoded: damage below it is not found. Throws
/// Error as decode_image.
Image decode_resized_center(std::span<const uint8_t> bytes, const std::string& name, int64_t shorter_side,
                            int64_t size);

}  // namespace ds
