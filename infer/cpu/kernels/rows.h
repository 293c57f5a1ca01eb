// Micro-kernels of what surrounds the sums of an integer net: rescaling, pooling, depthwise sums, addition,
// on rows of neighbouring values. One source, compiled once per instruction set.
#pragma once

#include <cstdint>

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
  const void* sums;
  int64_t sums_pitch;  // elements between pixels
  const int32_t* multiplier;
  const void* addend;
  const int32_t* shift;
  const uint8_t* shortcut = nullptr;
  int64_t shortcut_pitch = 0;  // bytes between pixels
  const int32_t* shortcut_shift = nullptr;
  uint8_t* y;
  int64_t y_pitch;  // bytes
  int64_t pixels;
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
  PoolKernel max_pool[kInputTypes];
  PoolKernel sum_pool[kInputTypes];       // i32
  PoolKernel sum_pool_wide[kInputTypes];  // i64
  ConvertKernel to_i16[kInputTypes];
  ConvertKernel i8_to_offset_u8;
};

extern const RowKernels kRows__avx512vnni;
extern const RowKernels kRows__avx2;
extern const RowKernels kRows__generic;

}  // namespace ds::infer
