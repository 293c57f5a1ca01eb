// Images from files: JPEG, PNG, BMP, GIF (first frame), TGA, PNM (binary, 8 bits), PSD, Radiance HDR.
//
// JPEG is read by libjpeg-turbo, all else by stb_image, which finds an early end but verifies no checksums;
// where libjpeg-turbo is not built in, stb_image reads JPEG too (its colours differ by a few grey levels, and
// corrupt data is found less often). What comes out is what Pillow's convert("RGB") gives, upright: grey is
// repeated, an alpha channel is dropped, palettes are looked up, CMYK is taken for inverted as Adobe writes
// it. Samples of 16 bits are cut to their upper 8, also grey ones, which Pillow would clip at 255.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/op_options.h"

namespace ds {

/// RGB pixels: H,W,3.
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> pixels;

  bool operator==(const Image&) const = default;
};

/// A rectangle of pixels.
struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;

  bool operator==(const Box&) const = default;
};

struct DecodeOptions {
  /// The part of the upright image that is wanted; none: all of it. A JPEG is decoded no further than needed,
  /// so that damage below the box is not seen.
  std::optional<Box> box = {};
  /// Positive: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, straight from its frequencies, as long
  /// as the shorter side of the result stays at least this. For training: such pixels are no test's pixels.
  int64_t least_side = 0;
};

/// Decodes a file of any of these formats and turns it by its EXIF orientation. Throws Error with `name` and
/// the reason: an unknown format, corrupt or truncated data, a size that such a file cannot hold (more pixels
/// than its bytes can encode; in any case above 2^28, or a side above 65535), a box that is empty or not
/// within the image.
Image decode_image(std::span<const uint8_t> bytes, const std::string& name,
                   const DecodeOptions& options = {});
Image read_image(const std::string& path, const DecodeOptions& options = {});

/// Height and width of the upright image, from the header alone. Throws Error as decode_image.
Size2d image_size(std::span<const uint8_t> bytes, const std::string& name);

/// All bytes of a file. Throws Error naming it.
std::vector<uint8_t> read_bytes(const std::string& path);

/// Throws Error, beginning with `where`, unless the box is not empty and lies within the size.
void check_box(const Box& box, Size2d size, const std::string& where);

/// A copy of a part. Throws Error unless the box lies within the image and is not empty.
Image crop(const Image& image, const Box& box);

}  // namespace ds
