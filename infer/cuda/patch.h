// Which layers run on patches of the image in shared memory (cuda/patch_kernel.cuh): a thread block computes
// kPatchRows x kPatchColumns output pixels, from the pixels of the image that their windows meet.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "infer/cuda/geometry.h"

namespace ds::infer::cuda {

inline constexpr int kPatchRows = 8;
inline constexpr int kPatchColumns = 16;
inline constexpr int kPatchTaps = 8;        // of a row of the weights; windows may have fewer columns
inline constexpr int kPatchPixelBytes = 8;  // four values

/// Pixels of a patch. In 64 bits: a stride may be as large as 32 bits hold.
constexpr int64_t patch_height(const FilterGeometry& g) {
  return int64_t{kPatchRows - 1} * g.stride_height + g.kernel_height;
}
constexpr int64_t patch_width(const FilterGeometry& g) {
  return int64_t{kPatchColumns - 1} * g.stride_width + kPatchTaps;
}

/// Whether the layer has values of 16 bits with four stored channels, windows of up to kPatchTaps columns
/// without dilation, and patches that fit into the shared memory that every device has, beside the weights.
inline bool takes_patches(const FilterGeometry& g, DType input) {
  constexpr int64_t kMostPixels = (24 << 10) / kPatchPixelBytes;
  const int64_t height = patch_height(g);
  const int64_t width = patch_width(g);
  return input == DType::kI16 && g.channels == 4 && g.kernel_width <= kPatchTaps && g.kernel_height <= 11 &&
         g.dilation_height == 1 && g.dilation_width == 1 && g.images <= 65535 &&
         height <= kMostPixels / width;  // their product might be more than 64 bits hold
}

/// Of a layer that takes patches.
constexpr int patch_bytes(const FilterGeometry& g) {
  return static_cast<int>(patch_height(g) * patch_width(g)) * kPatchPixelBytes;
}

}  // namespace ds::infer::cuda
