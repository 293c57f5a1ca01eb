// Which layers run on patches: worked out on the host, so tested without a device too.
#include "infer/cuda/patch.h"

#include <gtest/gtest.h>

#include <limits>

namespace ds::infer::cuda {
namespace {

/// The first layer of ResNet18.
FilterGeometry first_layer() {
  return {.images = 64,
          .in_height = 224,
          .in_width = 224,
          .channels = 4,
          .out_height = 112,
          .out_width = 112,
          .kernel_height = 7,
          .kernel_width = 7,
          .stride_height = 2,
          .stride_width = 2,
          .padding_height = 3,
          .padding_width = 3};
}

TEST(Patches, AreOfImagesOfFourChannelsOf16Bits) {
  FilterGeometry g = first_layer();
  EXPECT_TRUE(takes_patches(g, DType::kI16));
  EXPECT_EQ(patch_bytes(g), 21 * 38 * 8);
  EXPECT_FALSE(takes_patches(g, DType::kU8));
  g.channels = 8;
  EXPECT_FALSE(takes_patches(g, DType::kI16));
}

TEST(Patches, AreNoLargerThanTheirSharedMemory) {
  FilterGeometry g = first_layer();  // 3072 pixels: 38 columns of up to 80 rows
  g.stride_height = 10;
  EXPECT_TRUE(takes_patches(g, DType::kI16));
  EXPECT_EQ(patch_bytes(g), 77 * 38 * 8);
  g.stride_height = 11;
  EXPECT_FALSE(takes_patches(g, DType::kI16));
}

TEST(Patches, AreCountedWithoutOverflow) {
  FilterGeometry g = first_layer();
  g.stride_height = (1 << 28) - 1;  // 7 * 2^28 rows of 38 pixels of 8 bytes: a multiple of 2^32
  EXPECT_FALSE(takes_patches(g, DType::kI16));
  g.stride_height = g.stride_width = std::numeric_limits<int>::max();  // more bytes than 64 bits hold
  EXPECT_FALSE(takes_patches(g, DType::kI16));
}

}  // namespace
}  // namespace ds::infer::cuda
