#include "data/rand_augment.h"

#include <map>

#include "core/error.h"
#include "tests/data/images.h"

namespace ds {
namespace {

/// One operation at a time: what was drawn is read off a copy of the generator.
TEST(RandAugment, EqualsTorchvisionOperationByOperation) {
  for (const int64_t magnitude : {9, 30}) {
    const Transform augment = rand_augment({.operations = 1, .magnitude = magnitude});
    Generator generator(1);
    std::map<std::string, int> seen;
    for (int trial = 0; trial < 2800; ++trial) {
      Generator replay = generator;
      std::string name = std::to_string(replay.below(14)) + "_" + std::to_string(magnitude);
      const bool negative = replay.below(2) == 1;
      if (negative && test::image_fixtures().contains("augment/" + name + "_negative")) name += "_negative";
      Image image = test::fixture_image("augment/source");
      augment(test::view(image), generator);
      ASSERT_EQ(image, test::fixture_image("augment/" + name)) << name;
      ++seen[name];
    }
    EXPECT_EQ(seen.size(), 23U);
    for (const auto& [name, count] : seen) EXPECT_GT(count, 50) << name;
  }
}

TEST(RandAugment, AppliesSeveralOneAfterTheOther) {
  const Transform twice = rand_augment({.operations = 2});
  const Transform once = rand_augment({.operations = 1});
  Generator generator(1);
  for (int trial = 0; trial < 100; ++trial) {
    Generator replay = generator;
    Image image = test::fixture_image("augment/source");
    Image expected = image;
    twice(test::view(image), generator);
    once(test::view(expected), replay);
    once(test::view(expected), replay);
    ASSERT_EQ(image, expected);
  }
}

TEST(RandAugment, RefusesOptionsOutOfRange) {
  EXPECT_THROW(rand_augment({.operations = -1}), Error);
  EXPECT_THROW(rand_augment({.magnitude = 31}), Error);
  EXPECT_THROW(rand_augment({.magnitude = -1}), Error);
  EXPECT_THROW(rand_augment({.magnitude = 0, .bins = 1}), Error);
  std::vector<uint8_t> pixels(4);
  Generator generator(1);
  EXPECT_THROW(rand_augment()({pixels.data(), 2, 2, 1}, generator), Error);
}

}  // namespace
}  // namespace ds
