#include "core/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/error.h"

namespace ds {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of the Random123 distribution (Salmon et al., SC 2011).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, AWordDependsOnSeedStreamAndPositionAlone) {
  EXPECT_EQ(random_word(0, 0, 2), 0xbc57ac4cU);
  std::set<uint32_t> words;
  constexpr uint64_t kHigh = uint64_t{1} << 32;
  for (const auto& [seed, stream, index] : std::vector<std::array<uint64_t, 3>>{{1, 2, 3},
                                                                                {2, 2, 3},
                                                                                {1, 3, 3},
                                                                                {1, 2, 4},
                                                                                {1 + kHigh, 2, 3},
                                                                                {1, 2 + kHigh, 3},
                                                                                {1, 2, 3 + 4 * kHigh}}) {
    words.insert(random_word(seed, stream, index));
  }
  EXPECT_EQ(words.size(), 7U);
}

TEST(Random, AGeneratorContinuesFromItsPosition) {
  Generator first(5, 1);
  for (int i = 0; i < 7; ++i) first.word();
  Generator second(5, 1);
  second.set_position(first.position());
  for (int i = 0; i < 9; ++i) EXPECT_EQ(first.word(), second.word());
}

TEST(Random, ReservedWordsAreNotDrawnAgain) {
  Generator generator(5);
  generator.word();
  EXPECT_EQ(generator.reserve(10), 1U);
  EXPECT_EQ(generator.word(), random_word(5, 0, 11));
}

TEST(Random, UniformsLieInTheHalfOpenInterval) {
  EXPECT_EQ(uniform_from_word(0), 0.0F);
  EXPECT_EQ(uniform_from_word(0xffffffff), 1.0F - 0x1p-24F);
  Generator generator(1);
  double sum = 0.0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) sum += static_cast<double>(generator.uniform());
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
}

TEST(Random, IntegersBelowABoundAreUniform) {
  Generator generator(1);
  std::map<uint32_t, int> counts;
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) ++counts[generator.below(6)];
  ASSERT_EQ(counts.size(), 6U);
  for (const auto& [value, count] : counts) {
    EXPECT_LT(value, 6U);
    EXPECT_NEAR(count, kDraws / 6, 500);  // more than five standard deviations
  }
  EXPECT_EQ(generator.below(1), 0U);
  EXPECT_THROW(generator.below(0), Error);
}

TEST(Random, NormalsHaveTheirMoments) {
  Generator generator(2);
  constexpr int kDraws = 100000;
  double sum = 0.0;
  double squares = 0.0;
  double fourths = 0.0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = generator.normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1.0, 0.03);
  EXPECT_NEAR(fourths / kDraws, 3.0, 0.2);
}

TEST(Random, FillsATensorInRowMajorOrder) {
  Tensor tensor = Tensor::empty({3, 50001}, DType::kF64);  // several chunks
  Generator generator(4);
  fill_uniform(tensor, -2.0, 2.0, generator);
  Generator again(4);
  for (const double value : tensor.span<double>()) {
    EXPECT_EQ(value, -2.0 + 4.0 * static_cast<double>(again.uniform()));
  }
  fill_normal(tensor, 100.0, 0.5, generator);
  for (const double value : tensor.span<double>()) EXPECT_EQ(value, 100.0 + 0.5 * again.normal());
  EXPECT_EQ(generator.position(), again.position());
  Tensor integers = Tensor::zeros({3}, DType::kI32);
  EXPECT_THROW(fill_uniform(integers, 0.0, 1.0, generator), Error);
}

TEST(Random, ASeedRestartsTheDefaultGenerator) {
  manual_seed(11);
  const uint32_t first = default_generator().word();
  default_generator().word();
  manual_seed(11);
  EXPECT_EQ(default_generator().word(), first);
}

}  // namespace
}  // namespace ds
