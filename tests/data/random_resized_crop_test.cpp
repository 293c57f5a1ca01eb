#include "data/random_resized_crop.h"

#include <cmath>

#include "core/error.h"
#include "tests/data/images.h"

namespace ds {
namespace {

bool within(const Box& box, Size2d size) {
  return box.height >= 1 && box.width >= 1 && box.top >= 0 && box.left >= 0 &&
         box.top + box.height <= size.height && box.left + box.width <= size.width;
}

/// A square of 1000 holds every part of half its area at most: shares and ratios are as drawn.
TEST(RandomResizedBox, DrawsAreaAndRatioUniformly) {
  Generator generator(1);
  const RandomResizedCropOptions options{.scale = {0.1, 0.5}};
  constexpr int kTrials = 20000;
  double areas = 0.0;
  double logs = 0.0;
  double places = 0.0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Box box = random_resized_box(1000, options, generator);
    ASSERT_TRUE(within(box, 1000));
    const double area = static_cast<double>(box.height * box.width) / 1e6;
    const double ratio = static_cast<double>(box.width) / static_cast<double>(box.height);
    ASSERT_TRUE(0.099 < area && area < 0.501) << area;
    ASSERT_TRUE(0.745 < ratio && ratio < 1.342) << ratio;
    areas += area;
    logs += std::log(ratio);
    places += static_cast<double>(box.left) / static_cast<double>(1000 - box.width);
  }
  EXPECT_NEAR(areas / kTrials, 0.3, 0.003);
  EXPECT_NEAR(logs / kTrials, 0.0, 0.005);
  EXPECT_NEAR(places / kTrials, 0.5, 0.01);
}

TEST(RandomResizedBox, StaysWithinImagesOfAnyShape) {
  Generator generator(1);
  for (const Size2d size : {Size2d(1, 1), Size2d(1, 500), Size2d(500, 1), Size2d(2, 3), Size2d(375, 500)}) {
    for (int trial = 0; trial < 500; ++trial) {
      ASSERT_TRUE(within(random_resized_box(size, {}, generator), size))
          << size.height << " x " << size.width;
    }
  }
}

/// No part of 100 x 1000 with these areas has such a ratio: the largest allowed, from the middle.
TEST(RandomResizedBox, FallsBackToTheMiddle) {
  Generator generator(1);
  const RandomResizedCropOptions options{.scale = {0.9, 1.0}};
  EXPECT_EQ(random_resized_box({100, 1000}, options, generator), (Box{0, 433, 100, 133}));
  EXPECT_EQ(random_resized_box({1000, 100}, options, generator), (Box{433, 0, 133, 100}));
  const RandomResizedCropOptions wide{.scale = {1.0, 1.0}, .ratio = {0.5, 2.0}};
  EXPECT_EQ(random_resized_box({300, 301}, wide, generator), (Box{0, 0, 300, 301}));
}

TEST(RandomResizedBox, RefusesOptionsOutOfRange) {
  Generator generator(1);
  for (const RandomResizedCropOptions& options :
       {RandomResizedCropOptions{.size = 0}, RandomResizedCropOptions{.scale = {0.0, 1.0}},
        RandomResizedCropOptions{.scale = {0.9, 0.8}}, RandomResizedCropOptions{.scale = {0.08, 1.1}},
        RandomResizedCropOptions{.ratio = {0.0, 2.0}}, RandomResizedCropOptions{.ratio = {2.0, 1.5}}}) {
    EXPECT_THROW(random_resized_box(10, options, generator), Error);
  }
  EXPECT_THROW(random_resized_box({0, 10}, {}, generator), Error);
}

TEST(RandomResizedCrop, ResizesThePartByItself) {
  Generator generator(1);
  const Image source = test::fixture_image("resize/source");
  for (int trial = 0; trial < 50; ++trial) {
    Generator replay = generator;
    const Box box = random_resized_box({source.height, source.width}, {}, replay);
    EXPECT_EQ(random_resized_crop(source, {.size = 16}, generator), resize(crop(source, box), 16));
  }
}

/// A size too large for any fraction: a file gives what its image gives.
TEST(RandomResizedCrop, IsTheSameFromAFile) {
  for (const std::string name : {"420.jpg", "orientation_5.jpg", "rgb.png"}) {
    const std::vector<uint8_t> file = test::fixture_bytes("decode/" + name + "/file");
    const Image image = decode_image(file, name);
    Generator generator(1);
    Generator replay(1);
    for (int trial = 0; trial < 30; ++trial) {
      ASSERT_EQ(decode_random_resized_crop(file, name, {.size = 32}, generator),
                random_resized_crop(image, {.size = 32}, replay))
          << name;
    }
  }
}

}  // namespace
}  // namespace ds
