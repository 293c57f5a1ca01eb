#include "data/pixel_ops.h"

#include <map>

#include "core/error.h"
#include "tests/data/images.h"

namespace ds {
namespace {

const std::map<std::string, void (*)(ImageView, double)> kAdjustments = {
    {"brightness", adjust_brightness}, {"contrast", adjust_contrast}, {"saturation", adjust_saturation},
    {"sharpness", adjust_sharpness},   {"hue", adjust_hue},
};

TEST(PixelOps, EqualTorchvision) {
  for (const std::string& name : test::image_fixture_names("ops/")) {
    if (name == "source") continue;
    const size_t underscore = name.find('_');
    Image image = test::fixture_image("ops/source");
    kAdjustments.at(name.substr(0, underscore))(test::view(image), std::stod(name.substr(underscore + 1)));
    EXPECT_EQ(image, test::fixture_image("ops/" + name)) << name;
  }
}

TEST(PixelOps, LeaveAConstantImageAlone) {
  const Image constant{.height = 2, .width = 2, .pixels = std::vector<uint8_t>(12, 77)};
  for (const auto operation : {autocontrast, equalize}) {
    Image image = constant;
    operation(test::view(image));
    EXPECT_EQ(image, constant);
  }
}

TEST(PixelOps, AffineReadsWhatTheMatrixSays) {
  const Image source = test::fixture_image("ops/source");
  Image image = source;
  affine(test::view(image), {-1.0, 0.0, static_cast<double>(source.width), 0.0, 1.0, 2.0});
  for (int64_t y = 0; y < source.height; ++y) {
    for (int64_t x = 0; x < source.width; ++x) {
      const auto at = [&](int64_t row, int64_t column) {
        return static_cast<size_t>((row * source.width + column) * 3);
      };
      const int expected = y + 2 < source.height ? source.pixels[at(y + 2, source.width - 1 - x)] : 0;
      ASSERT_EQ(image.pixels[at(y, x)], expected) << y << ", " << x;
    }
  }
}

TEST(PixelOps, RefuseImagesThatAreNotRgb) {
  std::vector<uint8_t> pixels(8);
  const ImageView grey{pixels.data(), 2, 4, 1};
  for (const auto& [name, adjust] : kAdjustments) EXPECT_THROW(adjust(grey, 0.5), Error) << name;
  EXPECT_THROW(posterize(grey, 4), Error);
  EXPECT_THROW(solarize(grey, 128.0), Error);
  EXPECT_THROW(autocontrast(grey), Error);
  EXPECT_THROW(equalize(grey), Error);
  EXPECT_THROW(affine(grey, {1.0, 0.0, 0.0, 0.0, 1.0, 0.0}), Error);
}

TEST(PixelOps, RefuseAmountsOutOfRange) {
  Image image = test::fixture_image("ops/source");
  EXPECT_THROW(adjust_hue(test::view(image), 0.6), Error);
  EXPECT_THROW(posterize(test::view(image), 9), Error);
}

}  // namespace
}  // namespace ds
