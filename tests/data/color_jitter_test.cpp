#include "data/color_jitter.h"

#include <array>
#include <cmath>
#include <set>

#include "core/error.h"
#include "data/pixel_ops.h"
#include "tests/data/images.h"

namespace ds {
namespace {

/// Brightness alone shows its factor in a pixel of 100.
TEST(ColorJitter, DrawsFactorsFromTheirRange) {
  const Transform jitter = color_jitter({.brightness = 0.4});
  Generator generator(1);
  int least = 255;
  int most = 0;
  double sum = 0.0;
  constexpr int kTrials = 5000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Image image{.height = 1, .width = 1, .pixels = {100, 100, 100}};
    jitter(test::view(image), generator);
    least = std::min<int>(least, image.pixels[0]);
    most = std::max<int>(most, image.pixels[0]);
    sum += image.pixels[0];
  }
  EXPECT_EQ(least, 60);
  EXPECT_EQ(most, 139);
  EXPECT_NEAR(sum / kTrials, 99.5, 1.0);
}

TEST(ColorJitter, LeavesTheImageAloneByDefault) {
  Generator generator(1);
  Image image = test::fixture_image("ops/source");
  color_jitter({})(test::view(image), generator);
  EXPECT_EQ(image, test::fixture_image("ops/source"));
}

/// Factors of 0 to 2 of black and grey: a factor below 0 is not drawn.
TEST(ColorJitter, CutsFactorsAtZero) {
  const Transform jitter = color_jitter({.brightness = 3.0});
  Generator generator(1);
  int black = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    Image image{.height = 1, .width = 1, .pixels = {200, 200, 200}};
    jitter(test::view(image), generator);
    black += image.pixels[0] == 0 ? 1 : 0;
  }
  EXPECT_LT(black, 30);
}

/// What was drawn is read off a copy of the generator; all 24 orders are seen.
TEST(ColorJitter, AppliesInEveryOrder) {
  Generator generator(1);
  const Transform jitter = color_jitter({.brightness = 0.9, .contrast = 0.9, .saturation = 0.9, .hue = 0.5});
  std::set<std::vector<int64_t>> orders;
  for (int trial = 0; trial < 500; ++trial) {
    Generator replay = generator;
    std::vector<int64_t> order = {0, 1, 2, 3};
    shuffle(order, replay);
    Image expected = test::fixture_image("ops/source");
    for (const int64_t i : order) {
      const double low = i == 3 ? -0.5 : 1.0 - 0.9;
      const double amount = uniform(low, i == 3 ? 0.5 : 1.9, replay);
      constexpr std::array kSteps = {adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue};
      kSteps[static_cast<size_t>(i)](test::view(expected), amount);
    }
    Image image = test::fixture_image("ops/source");
    jitter(test::view(image), generator);
    ASSERT_EQ(image, expected) << trial;
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 24U);
}

TEST(ColorJitter, RefusesOptionsOutOfRange) {
  EXPECT_THROW(color_jitter({.brightness = -0.1}), Error);
  EXPECT_THROW(color_jitter({.saturation = std::nan("")}), Error);
  EXPECT_THROW(color_jitter({.hue = 0.6}), Error);
}

}  // namespace
}  // namespace ds
