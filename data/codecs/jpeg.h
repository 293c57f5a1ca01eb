// JPEG, as stored: the EXIF orientation is not applied. data/codecs/no_jpeg.cpp stands in where libjpeg-turbo
// is not built in.
#pragma once

#include "data/image.h"

namespace ds::codecs {

/// Whether libjpeg-turbo reads JPEG: exact boxes, fractions of the size, and pixels equal to Pillow's.
bool has_libjpeg();

/// Throws Error naming the file.
Size2d jpeg_size(std::span<const uint8_t> bytes, const std::string& name);
/// The box is one of the stored image.
Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options);

}  // namespace ds::codecs
