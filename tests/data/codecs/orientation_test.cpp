#include "data/codecs/orientation.h"

#include <gtest/gtest.h>

#include "tests/data/images.h"

namespace ds::codecs {
namespace {

using Bytes = std::vector<uint8_t>;

/// A JPEG's beginning with an EXIF segment in either byte order, whose second entry is the orientation.
Bytes jpeg_with(uint8_t orientation, bool little) {
  const Bytes tiff_little = {'I', 'I', 42, 0, 8, 0, 0, 0, 2,           0,        //
                             0,   1,   3,  0, 1, 0, 0, 0, 9,           0, 0, 0,  //
                             18,  1,   3,  0, 1, 0, 0, 0, orientation, 0, 0, 0};
  const Bytes tiff_big = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 2,                  //
                          1,   0,   0, 3,  0, 0, 0, 1, 0, 9,           0, 0,  //
                          1,   18,  0, 3,  0, 0, 0, 1, 0, orientation, 0, 0};
  const Bytes& tiff = little ? tiff_little : tiff_big;
  Bytes jpeg = {
      0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 1, 2, 0xFF, 0xFF, 0xE1, 0, static_cast<uint8_t>(8 + tiff.size())};
  for (const char letter : {'E', 'x', 'i', 'f', '\0', '\0'}) jpeg.push_back(static_cast<uint8_t>(letter));
  jpeg.insert(jpeg.end(), tiff.begin(), tiff.end());
  return jpeg;
}

TEST(Orientation, IsReadInBothByteOrders) {
  for (const bool little : {false, true}) {
    EXPECT_EQ(exif_orientation(jpeg_with(1, little)), Orientation{});
    EXPECT_EQ(exif_orientation(jpeg_with(3, little)),
              (Orientation{.rows_reversed = true, .columns_reversed = true}));
    EXPECT_EQ(exif_orientation(jpeg_with(6, little)),
              (Orientation{.transposed = true, .rows_reversed = true}));
    EXPECT_EQ(exif_orientation(jpeg_with(9, little)), Orientation{});
  }
}

TEST(Orientation, IsUprightWhereTheFileEndsEarly) {
  for (const bool little : {false, true}) {
    const Bytes jpeg = jpeg_with(6, little);
    for (size_t size = 0; size < jpeg.size(); ++size) {
      // A buffer of its own: reading past its end is seen by the sanitizers.
      const Bytes cut(jpeg.begin(), jpeg.begin() + static_cast<ptrdiff_t>(size));
      EXPECT_EQ(exif_orientation(cut), Orientation{}) << size;
    }
  }
}

TEST(Orientation, SurvivesAnyOffset) {
  Bytes jpeg = jpeg_with(6, true);
  const size_t offset = jpeg.size() - 34 + 4;  // of the directory, within the TIFF structure
  for (size_t i = 0; i < 4; ++i) jpeg[offset + i] = 0xFF;
  EXPECT_EQ(exif_orientation(jpeg), Orientation{});
}

/// A box of the upright image is where its pixels are stored.
TEST(Orientation, FindsWhereABoxIsStored) {
  Generator generator(1);
  Image stored{.height = 5, .width = 7, .pixels = Bytes(5 * 7 * 3)};
  for (size_t i = 0; i < stored.pixels.size(); ++i) stored.pixels[i] = static_cast<uint8_t>(2 * i);
  for (int code = 0; code < 8; ++code) {
    const Orientation orientation{(code & 1) != 0, (code & 2) != 0, (code & 4) != 0};
    const Image turned = upright(stored, orientation);
    for (int trial = 0; trial < 50; ++trial) {
      const Box box = test::random_box({turned.height, turned.width}, generator);
      const Image part = crop(stored, stored_box(box, {stored.height, stored.width}, orientation));
      EXPECT_EQ(upright(part, orientation), crop(turned, box)) << code;
    }
  }
}

}  // namespace
}  // namespace ds::codecs
