#include "core/block_pool.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "core/random.h"

namespace ds {
namespace {

using testing::ElementsAre;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(BlockPool, CutsTheSmallestPartThatFits) {
  std::vector<char> memory(300);
  char* begin = memory.data();
  BlockPool pool;
  EXPECT_EQ(pool.take(1), nullptr);
  pool.add_segment(begin, 200);
  char* first = pool.take(50);
  char* second = pool.take(20);
  char* third = pool.take(60);
  EXPECT_EQ(first, begin);
  EXPECT_EQ(second, begin + 50);
  EXPECT_EQ(third, begin + 70);
  pool.give_back(second, 20);
  EXPECT_EQ(pool.take(15), second);  // not from the 70 at the end
  EXPECT_EQ(pool.take(70), begin + 130);
  EXPECT_EQ(pool.take(6), nullptr);
}

TEST(BlockPool, JoinsNeighboursInWhateverOrderTheyComeBack) {
  std::vector<char> memory(90);
  std::vector<int> order = {0, 1, 2};
  do {
    BlockPool pool;
    pool.add_segment(memory.data(), 90);
    const std::vector<char*> blocks = {pool.take(30), pool.take(30), pool.take(30)};
    for (const int i : order) pool.give_back(blocks[static_cast<size_t>(i)], 30);
    EXPECT_EQ(pool.take(90), memory.data());
  } while (std::ranges::next_permutation(order).found);
}

TEST(BlockPool, KeepsNeighbouringSegmentsApart) {
  std::vector<char> memory(100);
  char* begin = memory.data();
  BlockPool pool;
  pool.add_segment(begin, 50);
  pool.add_segment(begin + 50, 50);
  char* first = pool.take(50);
  char* second = pool.take(50);
  pool.give_back(second, 50);
  pool.give_back(first, 50);
  EXPECT_EQ(pool.take(51), nullptr);
  char* part = pool.take(10);
  EXPECT_THAT(pool.remove_free_segments(), ElementsAre(Pair(begin + 50, 50)));
  pool.give_back(part, 10);
  EXPECT_THAT(pool.remove_free_segments(), ElementsAre(Pair(begin, 50)));
  EXPECT_EQ(pool.take(1), nullptr);
}

TEST(BlockPool, NeverHandsOutWhatIsInUse) {
  constexpr size_t kSize = 400;
  std::vector<char> memory(2 * kSize);
  BlockPool pool;
  pool.add_segment(memory.data(), kSize);
  pool.add_segment(memory.data() + kSize, kSize);
  std::vector<std::pair<char*, size_t>> blocks;
  Generator generator(1);
  for (int i = 0; i < 5000; ++i) {
    if (generator.below(2) == 0) {
      const size_t size = 1 + generator.below(60);
      char* data = pool.take(size);
      if (data == nullptr) continue;
      for (size_t byte = 0; byte < size; ++byte) ASSERT_EQ(data[byte]++, 0);
      blocks.emplace_back(data, size);
    } else if (!blocks.empty()) {
      std::swap(blocks[generator.below(blocks.size())], blocks.back());
      const auto [data, size] = blocks.back();
      std::fill_n(data, size, '\0');
      pool.give_back(data, size);
      blocks.pop_back();
    }
  }
  for (const auto& [data, size] : blocks) pool.give_back(data, size);
  EXPECT_THAT(pool.remove_free_segments(),
              UnorderedElementsAre(Pair(memory.data(), kSize), Pair(memory.data() + kSize, kSize)));
}

}  // namespace
}  // namespace ds
