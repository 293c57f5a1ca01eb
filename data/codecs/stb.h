// Every format that stb_image reads, as stored.
#pragma once

#include "data/image.h"

namespace ds::codecs {

/// Throws Error naming the file.
Size2d stb_size(std::span<const uint8_t> bytes, const std::string& name);
Image decode_stb(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace ds::codecs
