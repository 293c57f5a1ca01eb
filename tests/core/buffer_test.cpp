#include "core/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "tests/support/resident_pages.h"

namespace ds {
namespace {

TEST(Buffer, IsAlignedForVectors) {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{300}, size_t{5000}, size_t{3} << 20}) {
    const auto buffer = Buffer::allocate(bytes, Device{});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % 64, 0U);
    EXPECT_EQ(buffer->bytes(), bytes);
  }
}

TEST(Buffer, HandsAReleasedBlockOutAgain) {
  release_cached_memory();
  void* first = Buffer::allocate(5000, Device{})->data();  // released at once
  const int64_t asked = memory_stats().system_allocations;
  const auto second = Buffer::allocate(4100, Device{});  // of the same size class, 8192 bytes
  EXPECT_EQ(second->data(), first);
  const auto third = Buffer::allocate(4100, Device{});
  EXPECT_NE(third->data(), first);
  EXPECT_EQ(memory_stats().system_allocations, asked + 1);
}

TEST(Buffer, CountsWhatIsInUseAndCached) {
  release_cached_memory();
  const MemoryStats before = memory_stats();
  reset_peak_memory();
  {
    const auto small = Buffer::allocate(1, Device{});                      // 256 bytes
    const auto large = Buffer::allocate((size_t{1} << 20) + 1, Device{});  // 1 MiB and 64 KiB
    const size_t held = 256 + (size_t{17} << 16);
    EXPECT_EQ(memory_stats().in_use, before.in_use + held);
    EXPECT_EQ(memory_stats().peak_in_use, before.in_use + held);
  }
  EXPECT_EQ(memory_stats().in_use, before.in_use);
  EXPECT_GE(memory_stats().cached, 256 + (size_t{17} << 16));
  EXPECT_GT(memory_stats().peak_in_use, before.in_use);
  release_cached_memory();
  EXPECT_EQ(memory_stats().cached, before.cached);
}

/// Though the segment stays for the sake of another block, whose contents stay too.
TEST(Buffer, GivesUnusedPagesOfASegmentBack) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "with the address sanitizer blocks are not cut from segments";
#endif
  constexpr size_t kBytes = size_t{96} << 20;
  auto large = Buffer::allocate(kBytes, Device{});
  const auto other = Buffer::allocate(size_t{2} << 20, Device{});
  std::memset(large->data(), 1, kBytes);
  std::memset(other->data(), 2, other->bytes());
  const int64_t before = test::resident_pages();
  large.reset();
  release_cached_memory();
  EXPECT_LT(test::resident_pages(), before - int64_t{64} * 256);
  const auto* bytes = static_cast<const uint8_t*>(other->data());
  EXPECT_TRUE(std::all_of(bytes, bytes + other->bytes(), [](uint8_t byte) { return byte == 2; }));
  large = Buffer::allocate(kBytes, Device{});
  std::memset(large->data(), 3, kBytes);
  EXPECT_TRUE(std::all_of(bytes, bytes + other->bytes(), [](uint8_t byte) { return byte == 2; }));
}

TEST(Buffer, SaysSoWhenMemoryRunsOut) {
  try {
    Buffer::allocate(size_t{1} << 60, Device{});
    FAIL() << "an exbibyte was allocated";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("cannot allocate 1152921504606846976 bytes on cpu"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace ds
