#include "data/resize.h"

#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "tests/data/images.h"
#include "tests/support/data.h"
#include "tests/support/trials.h"

namespace ds {
namespace {

/// "<height>x<width>" or "<height>x<width>_<top>_<left>_<height>_<width>".
class Resize : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Resize, Resize, testing::ValuesIn([] {
                           std::vector<std::string> names = test::image_fixture_names("resize/");
                           std::erase(names, "source");
                           return names;
                         }()),
                         [](const auto& info) { return info.param; });

TEST_P(Resize, EqualsPillow) {
  const Image source = test::fixture_image("resize/source");
  Box box{0, 0, source.height, source.width};
  int height = 0;
  int width = 0;
  const int fields = std::sscanf(GetParam().c_str(), "%dx%d_%ld_%ld_%ld_%ld", &height, &width, &box.top,
                                 &box.left, &box.height, &box.width);
  ASSERT_TRUE(fields == 2 || fields == 6);
  EXPECT_EQ(resize(source, {height, width}, box), test::fixture_image("resize/" + GetParam()));
}

TEST(Resize, KeepsAConstant) {
  Generator generator(1);
  for (int64_t trial = 0; trial < test::trials(100); ++trial) {
    const auto side = [&] { return int64_t{1 + generator.below(40)}; };
    Image image{.height = side(), .width = side(), .pixels = {}};
    const auto value = static_cast<uint8_t>(trial % 2 == 0 ? 255 : generator.below(256));
    image.pixels.assign(static_cast<size_t>(image.height * image.width * 3), value);
    const Image result = resize(image, {side(), side()});
    ASSERT_TRUE(std::ranges::all_of(result.pixels, [=](uint8_t pixel) { return pixel == value; })) << trial;
  }
}

TEST(Resize, RefusesEmptySizesAndBoxes) {
  const Image source = test::fixture_image("resize/source");
  EXPECT_THROW(resize(source, {0, 3}), Error);
  EXPECT_THROW(resize(source, {3, 0}), Error);
  EXPECT_THROW(resize(source, {3, 3}, {0, 0, 0, 1}), Error);
  EXPECT_THROW(resize(source, {3, 3}, {0, 1, 1, source.width}), Error);
  EXPECT_THROW(resize(Image{}, {3, 3}), Error);
  EXPECT_THROW(resize_shorter_side(Image{}, 3), Error);
  EXPECT_THROW(resize_shorter_side(source, 0), Error);
  EXPECT_THROW(center_crop(source, 0), Error);
}

/// The wide image, or its transpose.
Image source_of(const std::string& name) {
  Image image = test::fixture_image("resize/source");
  if (name.starts_with("wide")) return image;
  Image tall{.height = image.width, .width = image.height, .pixels = {}};
  for (int64_t y = 0; y < tall.height; ++y) {
    for (int64_t x = 0; x < tall.width; ++x) {
      const auto pixel = image.pixels.begin() + (x * image.width + y) * 3;
      tall.pixels.insert(tall.pixels.end(), pixel, pixel + 3);
    }
  }
  return tall;
}

TEST(ResizeShorterSide, EqualsTorchvision) {
  for (const std::string& name : test::image_fixture_names("shorter_side/")) {
    const int64_t size = std::stoll(name.substr(5));
    EXPECT_EQ(resize_shorter_side(source_of(name), size), test::fixture_image("shorter_side/" + name))
        << name;
  }
}

TEST(CenterCrop, EqualsTorchvision) {
  for (const std::string& name : test::image_fixture_names("center_crop/")) {
    const int64_t size = std::stoll(name.substr(5));
    EXPECT_EQ(center_crop(source_of(name), size), test::fixture_image("center_crop/" + name)) << name;
  }
}

TEST(ResizeCenter, EqualsTheTwoSteps) {
  Generator generator(2);
  for (int64_t trial = 0; trial < test::trials(200); ++trial) {
    const auto side = [&] { return int64_t{1 + generator.below(60)}; };
    Image image{.height = side(), .width = side(), .pixels = {}};
    for (int64_t i = 0; i < image.height * image.width * 3; ++i)
      image.pixels.push_back(static_cast<uint8_t>(generator.below(256)));
    const int64_t shorter_side = side();
    const int64_t size = 1 + generator.below(static_cast<uint32_t>(shorter_side));
    ASSERT_EQ(resize_center(image, shorter_side, size),
              center_crop(resize_shorter_side(image, shorter_side), size))
        << image.height << " x " << image.width << " to " << shorter_side << ", " << size;
  }
}

TEST(ResizeCenter, OfPhotographsEqualsTheTwoSteps) {
  DS_REQUIRE_DATA(test::photographs_folder());
  int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::photographs_folder())) {
    if (++count % 10 != 0) continue;
    const std::string path = entry.path();
    EXPECT_EQ(decode_resized_center(read_bytes(path), path, 256, 224),
              center_crop(resize_shorter_side(read_image(path), 256), 224))
        << path;
  }
  EXPECT_GE(count, 300);
}

TEST(ResizeCenter, RefusesMoreThanThereIs) {
  const Image image{.height = 1, .width = 1, .pixels = {1, 2, 3}};
  EXPECT_THROW(resize_center(image, 4, 5), Error);
  EXPECT_THROW(resize_center(image, 4, 0), Error);
}

}  // namespace
}  // namespace ds
