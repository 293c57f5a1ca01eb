// Micro-kernels of what surrounds the sums of an integer net: rescaling, pooling, depthwise sums, on rows of
// neighbouring values. One source, compiled once per instruction set.
#pragma once

#include <cstdint>

/// Objects of vectors stay in registers only where everything is inlined.
#define DS_INLINE __attribute__((always_inline)) inline

namespace ds::infer {

/// Types of stored values, in the order of the tables.
enum class Stored : uint8_t { kU8, kI8, kI16, kI32 };
inline constexpr int kStoredTypes = 4;
inline constexpr int kInputTypes = 3;  // i32 is for results only

inline constexpr int64_t kRescaleBlock = 16;

/// y[p][c] = clamp((a' m[c] + b[c] + (shortcut[p][c] << j[c])) >> k[c]), a' = (sums[p][c] + half) >>
/// pre_shift, b with the rounding in it, for pixels p and channels c. In 32 bits (sums and addends i32) where
/// a plan has proved that nothing leaves them, in 64 (i64) otherwise. Channels are computed in blocks: what
/// is read must be there, with any value, up to a multiple of kRescaleBlock channels. y may be the shortcut's
/// own memory: a value is stored after all that it is made from was read, and nothing else is stored.
struct RescaleTile {
  const void* sums = nullptr;
  int64_t sums_pitch = 0;  // elements between pixels
  const int32_t* multiplier;
  const void* addend;
  const int32_t* shift;
  const uint8_t* shortcut = nullptr;
  int64_t shortcut_pitch = 0;  // bytes between pixels
  const int32_t* shortcut_shift = nullptr;
  uint8_t* y = nullptr;
  int64_t y_pitch = 0;  // bytes
  int64_t pixels = 1;
  int64_t count;  // channels
  int pre_shift;
  int32_t low;
  int32_t high;
};
using RescaleKernel = void (*)(const RescaleTile&);

/// sums[p][c] = sum over taps of x[p * x_pitch + offset_t + c] w[t][first + c] for pixels whose windows have
/// the same taps. Channels are computed in blocks: what is read must be there, and sums are written, up to a
/// multiple of kRescaleBlock channels.
struct DepthwiseTile {
  const uint8_t* x;
  int64_t x_pitch;                // bytes between pixels
  const int64_t* offsets;         // bytes, of the taps
  const int32_t* const* weights;  // of the taps, for all channels
  int64_t first;                  // the channel that x points at
  int64_t taps;
  int64_t pixels;
  int64_t count;       // channels
  void* sums;          // i32 or i64
  int64_t sums_pitch;  // elements
};
using DepthwiseKernel = void (*)(const DepthwiseTile&);

/// sums[p][c] = sum over rows t of taps and k < 3 of x[p * stride + k][t][c] w[t][first + c][k] for depthwise
/// windows of three neighbouring pixels a row. Channels are computed in blocks, as above.
struct DepthwiseRowsTile {
  const uint8_t* x;     // the first row and pixel that the first window reads
  int64_t pixel_pitch;  // bytes between neighbouring pixels of x
  int64_t row_pitch;    // bytes between rows of taps
  int64_t rows;
  const int8_t* weights;  // [rows][weight_pitch / 4][4]: a channel's three taps and 0
  int64_t weight_pitch;   // bytes between rows of taps
  bool skips_first;       // the first pixel that the tile reads, or the last, is padding
  bool skips_last;
  int64_t count;  // channels
  int32_t* sums;
  int64_t sums_pitch;  // elements
};
using DepthwiseRowsKernel = void (*)(const DepthwiseRowsTile&);

/// Of u8 values and weights of bytes.
struct DepthwiseRowsKernels {
  static constexpr int kMaxStride = 2;
  static constexpr int kMaxPixels = 8;
  DepthwiseRowsKernel of[kMaxStride][kMaxPixels];  // by stride - 1 and pixels - 1
};

/// y[c] = the maximum, or the sum (i32 or i64), of x[offset_t + c] over the taps.
struct PoolRow {
  const uint8_t* x;
  const int64_t* offsets;
  int64_t taps;
  int64_t count;
  void* y;
};
using PoolKernel = void (*)(const PoolRow&);

/// Values brought into the form that packed kernels read: y = x + 128 as u8, or x as i16.
using ConvertKernel = void (*)(const void* x, int64_t count, void* y);

/// The kernels of one instruction set.
struct RowKernels {
  /// By the shortcut's type (the last: none) and the result's; in 32 and in 64 bits.
  RescaleKernel rescale[kInputTypes + 1][kStoredTypes];
  RescaleKernel rescale_wide[kInputTypes + 1][kStoredTypes];
  DepthwiseKernel depthwise[kInputTypes];
  DepthwiseKernel depthwise_wide[kInputTypes];
  DepthwiseKernel depthwise_shifts[kInputTypes];  // weights are those of the packed shift kernels
  DepthwiseKernel depthwise_shifts_wide[kInputTypes];
  const DepthwiseRowsKernels* depthwise_rows;  // null where the instruction set has no dot product of bytes
  PoolKernel max_pool[kInputTypes];
  PoolKernel sum_pool[kInputTypes];       // i32
  PoolKernel sum_pool_wide[kInputTypes];  // i64
  ConvertKernel to_i16[kInputTypes];
  ConvertKernel i8_to_offset_u8;
};

extern const RowKernels kRows__avx512vbmi;
extern const RowKernels kRows__avx512vnni;
extern const RowKernels kRows__avx2;
extern const RowKernels kRows__generic;

}  // namespace ds::infer
