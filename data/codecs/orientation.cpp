#include "data/codecs/orientation.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace ds::codecs {
namespace {

constexpr uint8_t kStartOfScan = 0xDA;
constexpr uint8_t kApp1 = 0xE1;
constexpr uint16_t kOrientationTag = 0x112;
constexpr std::string_view kExifHeader("Exif\0\0", 6);

/// Numbers of the TIFF structure within an EXIF segment; 0 from beyond its end.
class TiffReader {
 public:
  explicit TiffReader(std::span<const uint8_t> bytes) : bytes_(bytes), little_(byte(0) == 'I') {}

  uint16_t u16(size_t at) const {
    return static_cast<uint16_t>(little_ ? byte(at) | byte(at + 1) << 8 : byte(at) << 8 | byte(at + 1));
  }
  uint32_t u32(size_t at) const {
    return little_ ? u16(at) | uint32_t{u16(at + 2)} << 16 : uint32_t{u16(at)} << 16 | u16(at + 2);
  }

 private:
  uint8_t byte(size_t at) const { return at < bytes_.size() ? bytes_[at] : uint8_t{0}; }

  std::span<const uint8_t> bytes_;
  bool little_;
};

/// The tag's value in the first directory; 0 where it is not there.
uint16_t orientation_tag(std::span<const uint8_t> tiff) {
  constexpr size_t kEntryBytes = 12;  // tag u16, type u16, count u32, value
  const TiffReader reader(tiff);
  const size_t directory = reader.u32(4);
  const size_t entries = reader.u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (reader.u16(entry) == kOrientationTag) return reader.u16(entry + 8);
  }
  return 0;
}

Orientation orientation_of(uint16_t tag) {
  switch (tag) {
    case 2: return {.columns_reversed = true};
    case 3: return {.rows_reversed = true, .columns_reversed = true};
    case 4: return {.rows_reversed = true};
    case 5: return {.transposed = true};
    case 6: return {.transposed = true, .rows_reversed = true};
    case 7: return {.transposed = true, .rows_reversed = true, .columns_reversed = true};
    case 8: return {.transposed = true, .columns_reversed = true};
    default: return {};
  }
}

}  // namespace

Orientation exif_orientation(std::span<const uint8_t> jpeg) {
  size_t at = 2;  // after the start-of-image marker
  while (at + 4 <= jpeg.size() && jpeg[at] == 0xFF && jpeg[at + 1] != kStartOfScan) {
    if (jpeg[at + 1] == 0xFF) {  // a fill byte before a marker
      ++at;
      continue;
    }
    const size_t length = size_t{jpeg[at + 2]} << 8 | jpeg[at + 3];  // counts its own two bytes
    if (length < 2 || at + 2 + length > jpeg.size()) break;
    const std::span<const uint8_t> segment = jpeg.subspan(at + 4, length - 2);
    if (jpeg[at + 1] == kApp1 && segment.size() > kExifHeader.size() &&
        std::memcmp(segment.data(), kExifHeader.data(), kExifHeader.size()) == 0) {
      return orientation_of(orientation_tag(segment.subspan(kExifHeader.size())));
    }
    at += 2 + length;
  }
  return {};
}

Size2d upright(Size2d stored, Orientation orientation) {
  return orientation.transposed ? Size2d{stored.width, stored.height} : stored;
}

Box stored_box(const Box& box, Size2d stored, Orientation orientation) {
  Box result = box;
  if (orientation.transposed) result = {box.left, box.top, box.width, box.height};
  if (orientation.rows_reversed) result.top = stored.height - result.top - result.height;
  if (orientation.columns_reversed) result.left = stored.width - result.left - result.width;
  return result;
}

Image upright(Image stored, Orientation orientation) {
  if (orientation == Orientation{}) return stored;
  const Size2d size = upright(Size2d{stored.height, stored.width}, orientation);
  Image image{.height = size.height, .width = size.width, .pixels = {}};
  image.pixels.resize(stored.pixels.size());
  uint8_t* target = image.pixels.data();
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x, target += 3) {
      const Box pixel = stored_box({y, x, 1, 1}, {stored.height, stored.width}, orientation);
      std::copy_n(stored.pixels.data() + (pixel.top * stored.width + pixel.left) * 3, 3, target);
    }
  }
  return image;
}

}  // namespace ds::codecs
