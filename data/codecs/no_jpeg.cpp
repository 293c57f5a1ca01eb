#include "data/codecs/jpeg.h"
#include "data/codecs/stb.h"

namespace ds::codecs {

bool has_libjpeg() { return false; }

Size2d jpeg_size(std::span<const uint8_t> bytes, const std::string& name) { return stb_size(bytes, name); }

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
  Image image = decode_stb(bytes, name);
  return options.box ? crop(image, *options.box) : image;
}

}  // namespace ds::codecs
