#include "data/transforms.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "core/error.h"

namespace ds {
namespace {

constexpr int64_t kSide = 6;
constexpr int64_t kChannels = 2;

/// An image whose bytes are all different and not zero.
std::vector<uint8_t> numbered_image() {
  std::vector<uint8_t> pixels(kSide * kSide * kChannels);
  std::iota(pixels.begin(), pixels.end(), uint8_t{1});
  return pixels;
}

std::vector<uint8_t> transformed(const Transform& transform, Generator& generator) {
  std::vector<uint8_t> pixels = numbered_image();
  transform({pixels.data(), kSide, kSide, kChannels}, generator);
  return pixels;
}

/// The image moved by whole pixels, written plainly: the judge of random_crop.
std::vector<uint8_t> moved(int64_t down, int64_t right) {
  const std::vector<uint8_t> source = numbered_image();
  std::vector<uint8_t> target(source.size(), 0);
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      const int64_t from_y = y + down;
      const int64_t from_x = x + right;
      if (from_y < 0 || from_y >= kSide || from_x < 0 || from_x >= kSide) continue;
      for (int64_t c = 0; c < kChannels; ++c) {
        target[static_cast<size_t>((y * kSide + x) * kChannels + c)] =
            source[static_cast<size_t>((from_y * kSide + from_x) * kChannels + c)];
      }
    }
  }
  return target;
}

class RandomCropTest : public ::testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Transforms, RandomCropTest, ::testing::Values(0, 1, 3, 8));

TEST_P(RandomCropTest, MovesTheImageToEveryPlaceAndPadsWithZeros) {
  const int64_t padding = GetParam();
  const Transform crop = random_crop(kSide, padding);
  Generator generator(1);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int trial = 0; trial < 3000; ++trial) {
    Generator replay = generator;
    const auto places = static_cast<uint32_t>(2 * padding + 1);
    const int64_t down = int64_t{replay.below(places)} - padding;
    const int64_t right = int64_t{replay.below(places)} - padding;
    ASSERT_EQ(transformed(crop, generator), moved(down, right)) << down << ", " << right;
    seen.emplace(down, right);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>((2 * padding + 1) * (2 * padding + 1)));
}

TEST(Transforms, RandomCropRefusesAnotherSize) {
  Generator generator(1);
  EXPECT_THROW(transformed(random_crop(kSide + 1, 4), generator), Error);
  EXPECT_THROW(random_crop(32, -1), Error);
}

TEST(Transforms, FlipMirrorsWithItsProbability) {
  std::vector<uint8_t> mirrored = numbered_image();
  const std::vector<uint8_t> source = numbered_image();
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      for (size_t c = 0; c < kChannels; ++c) {
        mirrored[(y * kSide + x) * kChannels + c] = source[(y * kSide + kSide - 1 - x) * kChannels + c];
      }
    }
  }
  Generator generator(1);
  int flips = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    const std::vector<uint8_t> result = transformed(random_flip(0.25), generator);
    ASSERT_TRUE(result == source || result == mirrored);
    flips += result == mirrored ? 1 : 0;
  }
  EXPECT_NEAR(flips, 1000, 100);
  EXPECT_EQ(transformed(random_flip(1.0), generator), mirrored);
  EXPECT_EQ(transformed(random_flip(0.0), generator), source);
  EXPECT_THROW(random_flip(1.5), Error);
}

TEST(Transforms, CutoutClearsASquareAroundEveryCentre) {
  const std::vector<uint8_t> source = numbered_image();
  constexpr int64_t kSize = 3;
  Generator generator(1);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int trial = 0; trial < 1000; ++trial) {
    Generator replay = generator;
    const int64_t centre_y = replay.below(kSide);
    const int64_t centre_x = replay.below(kSide);
    const std::vector<uint8_t> result = transformed(cutout(kSize), generator);
    for (int64_t i = 0; i < kSide * kSide; ++i) {
      const bool inside = std::abs(i / kSide - centre_y) <= 1 && std::abs(i % kSide - centre_x) <= 1;
      for (int64_t c = 0; c < kChannels; ++c) {
        const auto at = static_cast<size_t>(i * kChannels + c);
        ASSERT_EQ(result[at], inside ? 0 : source[at]) << centre_y << ", " << centre_x << " at " << i;
      }
    }
    seen.emplace(centre_y, centre_x);
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kSide * kSide));
  EXPECT_EQ(transformed(cutout(0), generator), source);
}

TEST(Transforms, ShuffleIsUniform) {
  std::array<std::array<int, 4>, 4> counts{};
  Generator generator(1);
  for (int trial = 0; trial < 8000; ++trial) {
    std::array<int64_t, 4> values = {0, 1, 2, 3};
    shuffle(values, generator);
    for (size_t place = 0; place < 4; ++place) ++counts[place][static_cast<size_t>(values[place])];
  }
  for (const auto& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, 2000, 200);
  }
}

TEST(Mixup, MixesImagesAndTargetsAlike) {
  // Image i is constant 1 in pixel i: a mixed image shows its own lambda and its partner.
  constexpr int64_t kCount = 5;
  Tensor images = Tensor::empty({kCount, kCount});
  std::ranges::fill(images.span<float>(), 0.0F);
  for (int64_t i = 0; i < kCount; ++i) images.data<float>()[i * kCount + i] = 1.0F;
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1, 2, 3, 4}, {kCount});
  Generator generator(3);
  const Tensor targets = mixup(images, labels, {.alpha = 1.0, .classes = kCount}, generator);
  EXPECT_EQ(targets.to_vector<float>(), images.to_vector<float>());
  for (int64_t i = 0; i < kCount; ++i) {
    const float* row = images.data<float>() + i * kCount;
    EXPECT_FLOAT_EQ(std::accumulate(row, row + kCount, 0.0F), 1.0F);
  }
}

TEST(Mixup, SmoothsTheTargets) {
  Tensor images = Tensor::empty({1, 1});
  images.data<float>()[0] = 2.0F;
  const Tensor labels = Tensor::from(std::vector<int64_t>{1}, {1});
  Generator generator(3);
  const Tensor targets =
      mixup(images, labels, {.alpha = 0.2, .classes = 4, .label_smoothing = 0.1}, generator);
  EXPECT_FLOAT_EQ(images.data<float>()[0], 2.0F);
  const std::vector<float> expected = {0.025F, 0.925F, 0.025F, 0.025F};
  for (size_t c = 0; c < 4; ++c) EXPECT_NEAR(targets.data<float>()[c], expected[c], 1e-6F) << c;
}

TEST(Mixup, LambdaFollowsTheBetaDistribution) {
  for (const double alpha : {0.2, 1.0, 4.0}) {
    Generator generator(5);
    double sum = 0.0;
    double squares = 0.0;
    constexpr int kTrials = 20000;
    const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1}, {2});
    for (int trial = 0; trial < kTrials; ++trial) {
      // With images 0 and 1, a swapped pair shows 1 - lambda in the first; Beta(a, a) is symmetric.
      Tensor images = Tensor::from(std::vector<float>{1.0F, 0.0F}, {2, 1});
      mixup(images, labels, {.alpha = alpha, .classes = 2}, generator);
      const double lambda = images.data<float>()[0];
      sum += lambda;
      squares += (lambda - 0.5) * (lambda - 0.5);
    }
    // Half of the permutations leave the pair alone: the mean is (1 + 1/2) / 2, the spread about 1/2 that of
    // 1 (1/4) and of Beta, 1 / (4 (2 alpha + 1)).
    EXPECT_NEAR(sum / kTrials, 0.75, 0.01) << alpha;
    EXPECT_NEAR(squares / kTrials, 0.5 * (0.25 + 0.25 / (2.0 * alpha + 1.0)), 0.005) << alpha;
  }
}

TEST(Mixup, RefusesAnUnknownLabel) {
  Tensor images = Tensor::from(std::vector<float>{1.0F}, {1, 1});
  const Tensor labels = Tensor::from(std::vector<int64_t>{2}, {1});
  Generator generator(3);
  EXPECT_THROW(mixup(images, labels, {.classes = 2}, generator), Error);
}

/// Images that are constant, each its own number: a pixel shows whose it is.
Tensor numbered_batch(int64_t count, int64_t height, int64_t width) {
  Tensor images = Tensor::empty({count, height, width, 1});
  const int64_t pixels = height * width;
  for (int64_t i = 0; i < count; ++i) {
    std::fill_n(images.data<float>() + i * pixels, pixels, static_cast<float>(i));
  }
  return images;
}

/// Where image i shows another one: the bounds, and how many pixels.
struct Pasted {
  int64_t top = 1 << 20;
  int64_t left = 1 << 20;
  int64_t bottom = 0;
  int64_t right = 0;
  int64_t pixels = 0;
  int64_t owner = 0;
};

Pasted pasted(const Tensor& images, int64_t i) {
  Pasted result{.owner = i};
  const int64_t width = images.size(2);
  for (int64_t p = 0; p < images.size(1) * width; ++p) {
    const auto owner = static_cast<int64_t>(images.data<float>()[i * images.size(1) * width + p]);
    if (owner == i) continue;
    result.top = std::min(result.top, p / width);
    result.bottom = std::max(result.bottom, p / width + 1);
    result.left = std::min(result.left, p % width);
    result.right = std::max(result.right, p % width + 1);
    ++result.pixels;
    result.owner = owner;
  }
  return result;
}

TEST(Cutmix, PastesOneBoxAndWeighsTargetsByItsArea) {
  constexpr int64_t kCount = 4;
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1, 2, 3}, {kCount});
  Generator generator(3);
  std::set<int64_t> areas;
  for (int trial = 0; trial < 500; ++trial) {
    Tensor images = numbered_batch(kCount, 7, 9);
    const Tensor targets = cutmix(images, labels, {.alpha = 1.0, .classes = kCount}, generator);
    for (int64_t i = 0; i < kCount; ++i) {
      const Pasted box = pasted(images, i);
      if (box.pixels > 0) {
        ASSERT_EQ(box.pixels, (box.bottom - box.top) * (box.right - box.left));
      }
      const float share = static_cast<float>(box.pixels) / 63.0F;
      for (int64_t c = 0; c < kCount; ++c) {
        if (box.owner == i) continue;  // nothing pasted, or its own: the target stays
        const float expected = c == i ? 1.0F - share : c == box.owner ? share : 0.0F;
        ASSERT_NEAR(targets.data<float>()[i * kCount + c], expected, 1e-6F) << i << ", " << c;
      }
      areas.insert(box.pixels);
    }
  }
  EXPECT_GT(areas.size(), 20U);
}

/// A large alpha makes l 1/2: sides of sqrt(1/2), 70 of 100 and 35 of 50, less at the border only.
TEST(Cutmix, SidesOfTheBoxFollowLambda) {
  const Tensor labels = Tensor::from(std::vector<int64_t>{0, 1}, {2});
  Generator generator(3);
  int64_t tallest = 0;
  int64_t widest = 0;
  for (int trial = 0; trial < 300; ++trial) {
    Tensor images = numbered_batch(2, 100, 50);
    cutmix(images, labels, {.alpha = 1e6, .classes = 2}, generator);
    const Pasted box = pasted(images, 0);
    if (box.pixels == 0) continue;
    tallest = std::max(tallest, box.bottom - box.top);
    widest = std::max(widest, box.right - box.left);
    EXPECT_TRUE(box.top == 0 || box.bottom == 100 || box.bottom - box.top == 70);
    EXPECT_TRUE(box.left == 0 || box.right == 50 || box.right - box.left == 35);
  }
  EXPECT_EQ(tallest, 70);
  EXPECT_EQ(widest, 35);
}

TEST(Cutmix, SmoothsTheTargets) {
  Tensor images = numbered_batch(1, 2, 2);
  const Tensor labels = Tensor::from(std::vector<int64_t>{1}, {1});
  Generator generator(3);
  const Tensor targets =
      cutmix(images, labels, {.alpha = 1.0, .classes = 4, .label_smoothing = 0.1}, generator);
  const std::vector<float> expected = {0.025F, 0.925F, 0.025F, 0.025F};
  for (size_t c = 0; c < 4; ++c) EXPECT_NEAR(targets.data<float>()[c], expected[c], 1e-6F) << c;
}

TEST(Cutmix, RefusesUnknownLabelsAndOtherShapes) {
  Generator generator(3);
  Tensor images = numbered_batch(1, 2, 2);
  const Tensor label = Tensor::from(std::vector<int64_t>{2}, {1});
  EXPECT_THROW(cutmix(images, label, {.classes = 2}, generator), Error);
  Tensor flat = Tensor::empty({1, 4});
  EXPECT_THROW(cutmix(flat, label, {.classes = 3}, generator), Error);
  Tensor two = numbered_batch(2, 2, 2);
  EXPECT_THROW(cutmix(two, label, {.classes = 3}, generator), Error);
}

}  // namespace
}  // namespace ds
